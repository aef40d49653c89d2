import type { BodyMover, BodyTerms } from '../contracts/body-mover.ts';
import type { Exchange, OriginResponse, OutgoingBody, OutgoingRequest } from '../contracts/exchange.ts';
import { type FailureCode, ProxyError } from '../contracts/failure.ts';
import type { Authority, Body, Framing } from '../contracts/request.ts';
import type { Connection } from '../contracts/stages.ts';
import { StreamWire } from '../net/node-wire.ts';
import { BodyReader } from '../protocol/http1/body-reader.ts';
import { requestFraming } from '../protocol/http1/framing.ts';
import { HEAD_LIMITS, HeadBuffer } from '../protocol/http1/head-buffer.ts';
import { parseRequestHead } from '../protocol/http1/request-head.ts';
import type { Stop, StopSignal } from '../util/stop.ts';
import type { LocalSocket } from './local-socket.ts';
import { finalHead, interimHead, outgoingOf, switchingHead } from './plain-messages.ts';
import { streamOf } from './stream-of.ts';

const NOTHING = Buffer.alloc(0);

export interface PlainConnectionOptions {
  /** The origin to which the agent believes it is connected. */
  readonly to: Authority;
  /** Sends a request along the route. */
  readonly send: (outgoing: OutgoingRequest, signal: StopSignal) => ReturnType<Exchange['send']>;
  readonly bodies: BodyMover;
  /** Aborts the request in progress. */
  readonly stop: Stop;
}

/**
 * Reads the requests of an agent, one after the other, and sends each to the proxy in absolute-form. The agent writes
 * origin-form: it believes that it is connected to the origin. Owns `end`; a failure destroys it with its error.
 */
export async function servePlain(end: LocalSocket, options: PlainConnectionOptions): Promise<void> {
  const wire = new StreamWire(end);
  try {
    let early: Buffer = NOTHING;
    for (;;) {
      const read = await nextHead(wire, early);
      if (read === undefined) return void end.end();
      const next = await new PlainRequest(wire, options).serve(read);
      if (next === undefined) return;
      early = next;
    }
  } catch (error) {
    end.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

interface ReceivedRequest {
  readonly head: string;
  readonly rest: Buffer;
}

/** `undefined`: the agent sends no more. */
function nextHead(wire: StreamWire, early: Buffer): Promise<ReceivedRequest | undefined> {
  return new Promise((resolve, reject) => {
    const buffer = new HeadBuffer(HEAD_LIMITS);
    const finish = (settle: () => void) => {
      wire.deliverTo(undefined);
      settle();
    };
    const add = (chunk: Buffer) => {
      const progress = buffer.add(chunk, 'fresh');
      if (progress.at === 'head') finish(() => resolve(progress));
      else if (progress.at === 'refused')
        finish(() => reject(new ProxyError('head_too_large', `the request head: ${progress.why}`)));
    };
    wire.deliverTo({
      bytes: add,
      end: () => finish(() => resolve(undefined)),
      failed: () => finish(() => resolve(undefined)),
    });
    if (early.length > 0) add(early);
  });
}

/** One request of an agent and its response. */
class PlainRequest {
  readonly #wire: StreamWire;
  readonly #options: PlainConnectionOptions;
  /** What the agent has sent behind the request, once all of that has been read. */
  #behind: Buffer | undefined;

  constructor(wire: StreamWire, options: PlainConnectionOptions) {
    this.#wire = wire;
    this.#options = options;
  }

  /** Resolves with what follows the request, or with `undefined` when nothing more is served on the connection. */
  async serve({ head, rest }: ReceivedRequest): Promise<Buffer | undefined> {
    const { send, stop } = this.#options;
    const request = parseRequestHead(head, HEAD_LIMITS.fieldsMax);
    const body = this.#bodyBehind(requestFraming(request.headers, request.version), rest);
    const outgoing: OutgoingRequest = {
      ...outgoingOf(request, this.#options.to, body),
      body: body && this.#sending(body),
      sendInterim: (head) => this.#write(interimHead(head)),
    };
    const response = await send(outgoing, stop);
    if (response.upgraded !== undefined) return await this.#switch(response, response.upgraded);
    using _response = response;
    await this.#respond(response, request.method);
    // A proxy that refuses reads no more of the request; any other may be reading while it answers.
    if (response.head.status < 400) await response.sent.catch(() => undefined);
    if (this.#behind !== undefined && response.body?.framing.kind !== 'until-close') return this.#behind;
    this.#wire.stream.end();
    return undefined;
  }

  #bodyBehind(framing: Framing, rest: Buffer): Body | undefined {
    if (framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0)) {
      this.#behind = rest;
      return undefined;
    }
    return new BodyReader(this.#wire, framing, rest, {
      done: (behind) => {
        this.#behind = behind;
      },
      truncated: 'client_gone',
      broken: 'client_gone',
      malformed: 'bad_request',
    });
  }

  #sending(body: Body): OutgoingBody {
    const isComplete = () => this.#behind !== undefined;
    return {
      get complete() {
        return isComplete();
      },
      sendTo: async ({ wire }) =>
        this.#options.bodies.move(
          body,
          wire.stream,
          this.#terms(body, undefined, 'client_too_slow', 'reset_before_head'),
        ),
    };
  }

  async #respond({ head, body }: OriginResponse, method: string): Promise<void> {
    const text = finalHead(head, body, method);
    if (body === undefined) return void this.#write(text);
    // Head and first bytes of the body leave together, and a body that breaks before its first byte takes the head along.
    const prefix = { text, onWritten: () => undefined };
    const terms = this.#terms(body, prefix, 'response_incomplete', 'client_gone');
    await this.#options.bodies.move(body, this.#wire.stream, terms);
  }

  /** After a 101 both sides use the other protocol, and bytes are passed on both ways. */
  async #switch({ head }: OriginResponse, upgraded: Connection): Promise<undefined> {
    this.#write(switchingHead(head));
    const far = await streamOf(upgraded, 'half-open');
    const near = await this.#wire.takeStream();
    const destroyBoth = (error: Error | undefined) => () => {
      near.destroy(error);
      far.destroy(error);
    };
    near.on('error', destroyBoth(undefined)).on('close', destroyBoth(undefined));
    far.on('error', destroyBoth(undefined)).on('close', destroyBoth(undefined));
    far.pipe(near);
    near.pipe(far);
  }

  #write(head: string): undefined {
    this.#wire.stream.write(head, 'latin1');
  }

  #terms(body: Body, head: BodyTerms['head'], silent: FailureCode, broken: FailureCode): BodyTerms {
    return {
      head,
      coding: body.framing.kind === 'chunked' ? 'chunked' : 'raw',
      trailers: (arrived) => arrived,
      gate: undefined,
      signal: this.#options.stop,
      // The program waits as long as it likes.
      silentMs: 0,
      stuckMs: 0,
      silent,
      stuck: silent,
      broken,
      count: () => undefined,
    };
  }
}
