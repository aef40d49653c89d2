import { ProxyError } from '../core/failure.ts';
import type { Connection } from '../core/stages.ts';
import type { Parsed } from '../protocol/socks5.ts';
import type { Patience } from './patience.ts';

/** Makes a message of the first bytes, or `undefined` while there are too few; throws when they can become none. */
export type Parse<T> = (bytes: Buffer) => Parsed<T> | undefined;

/** Messages of a few bytes, in turns: we ask, the proxy answers. What is held is one read and an unfinished answer. */
export class SocksTalk {
  readonly #connection: Connection;
  readonly #patience: Patience;
  #rest: Buffer;

  /** The patience has begun: it bounds all answers together. */
  constructor(connection: Connection, patience: Patience) {
    this.#connection = connection;
    this.#patience = patience;
    this.#rest = connection.early;
  }

  /** What came behind the last answer: after the reply to a CONNECT it is the target's. */
  get rest(): Buffer {
    return this.#rest;
  }

  /** Rejects with `parent_closed` when no byte of an answer comes, and with `parent_protocol` when it breaks off. */
  ask<T>(message: Buffer, parse: Parse<T>): Promise<T> {
    const { wire } = this.#connection;
    wire.stream.write(message);
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        wire.deliverTo(undefined);
        this.#patience.hear(undefined);
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
            ? new ProxyError('parent_closed', 'closed before an answer', { cause })
            : new ProxyError('parent_protocol', 'closed inside an answer', { cause }),
        );
      // What is there already was sent before it could have been asked for, but a proxy in a hurry is no enemy.
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
      this.#patience.hear(refuse);
    });
  }
}
