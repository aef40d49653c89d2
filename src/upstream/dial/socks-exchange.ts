import { ProxyError } from '../../contracts/failure.ts';
import type { Connection } from '../../contracts/stages.ts';
import type { ParseResult } from '../../protocol/socks/socks-request.ts';
import type { ResponseTimer } from '../response-timer.ts';

/** Makes a message of the first bytes, or `undefined` while there are too few; throws when they can become none. */
export type Parse<T> = (bytes: Buffer) => ParseResult<T> | undefined;

/** Messages of a few bytes, one request and one response in turns. It holds one read and an unfinished response. */
export class SocksExchange {
  readonly #connection: Connection;
  readonly #timer: ResponseTimer;
  #rest: Buffer;

  /** The timer runs already: it bounds all responses together. */
  constructor(connection: Connection, timer: ResponseTimer) {
    this.#connection = connection;
    this.#timer = timer;
    this.#rest = connection.early;
  }

  /** What came behind the last response: after the reply to a CONNECT it is the target's. */
  get rest(): Buffer {
    return this.#rest;
  }

  /** Rejects with `upstream_closed` when no byte of a response comes, and with `upstream_protocol` when it breaks off. */
  request<T>(message: Buffer, parse: Parse<T>): Promise<T> {
    const { wire } = this.#connection;
    wire.stream.write(message);
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        wire.deliverTo(undefined);
        this.#timer.onTimeout(undefined);
        settle();
      };
      const refuse = (error: unknown) => finish(() => reject(error));
      const look = (): boolean => {
        try {
          const parsed = parse(this.#rest);
          if (parsed === undefined) return false;
          this.#rest = this.#rest.subarray(parsed.length);
          finish(() => resolve(parsed.value));
        } catch (error) {
          refuse(error);
        }
        return true;
      };
      const broken = (cause?: Error) =>
        refuse(
          this.#rest.length === 0
            ? new ProxyError('upstream_closed', 'closed before a response', { cause })
            : new ProxyError('upstream_protocol', 'closed inside a response', { cause }),
        );
      // A response that arrived before its request was sent is accepted.
      if (look()) return;
      wire.deliverTo({
        bytes: (chunk) => {
          // A copy: the chunk may lie in a buffer that the next read of any connection overwrites.
          this.#rest = Buffer.concat([this.#rest, chunk]);
          look();
        },
        end: () => broken(),
        failed: broken,
      });
      this.#timer.onTimeout(refuse);
    });
  }
}
