import type { BodyMover, BodyTerms } from '../contracts/body-mover.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { Body } from '../contracts/request.ts';
import type { Sink } from '../contracts/wire.ts';
import type { IdleTarget, IdleWatch } from '../net/idle-watch.ts';
import { printFields } from '../protocol/http1/header-list.ts';
import { NO_SLOT } from '../util/slot-list.ts';
import { Flow, type FlowEnd } from './flow.ts';

const NOTHING = Buffer.alloc(0);

/** Moves message bodies as tunnels are moved: with a flow, gates and the idle watch. */
export const bodyMover = (idle: IdleWatch): BodyMover => ({
  move(body, to, terms) {
    const bytes = writeAtOnce(body, to, terms);
    if (bytes === undefined) return transfer(body, to, terms, idle);
    if (to.writableLength === 0) return bytes;
    // Only the client can be silent now.
    const { stuckMs, stuck } = terms;
    const left = { ...terms, head: undefined, silentMs: stuckMs, silent: stuck };
    return transfer(ENDED, to, left, idle).then(() => bytes);
  },
});

const transfer = (body: Body, to: Sink, terms: BodyTerms, idle: IdleWatch): Promise<number> =>
  new Promise((resolve, reject) => new BodyTransfer(body, to, terms, idle, resolve, reject).start());

/** Stands for a body of which all is written, and not taken yet. */
const ENDED: Body = {
  framing: { kind: 'length', bytes: 0 },
  trailers: [],
  deliverTo: (receiver) => receiver?.end(),
  pause: () => undefined,
  resume: () => undefined,
  lend: () => undefined,
};

/** A longer one costs so much by itself that a flow does not count. */
const AT_ONCE_BYTES_MAX = 4_096;

/**
 * A small body that has arrived with its head, behind a head of ours: both are one text, and nothing is set up to wait for.
 * Returns the bytes of the body; `undefined`: nothing was written.
 */
function writeAtOnce(body: Body, to: Sink, { head, coding, gate, signal, count }: BodyTerms): number | undefined {
  const { framing } = body;
  // HTTP/2 sends its head by itself, and its streams never take anything at once.
  if (head === undefined || head.text === '' || coding !== 'raw' || signal.aborted) return undefined;
  // An idle gate neither holds bytes up nor counts them.
  if (gate !== undefined && gate.isIdle !== true) return undefined;
  if (framing.kind !== 'length' || framing.bytes > AT_ONCE_BYTES_MAX || to.writableLength > 0) return undefined;
  const whole = body.takeWhole?.();
  if (whole === undefined) return undefined;
  head.onWritten();
  count(whole.length);
  to.write(head.text + whole.toString('latin1'), 'latin1');
  return whole.length;
}

class BodyTransfer implements IdleTarget {
  slot = NO_SLOT;
  silentSinceMs = 0;
  readonly #body: Body;
  readonly #to: Sink;
  readonly #terms: BodyTerms;
  readonly #idle: IdleWatch;
  readonly #flow: Flow;
  readonly #resolve: (bytes: number) => void;
  readonly #reject: (error: unknown) => void;
  #bytes = 0;
  #isOver = false;

  constructor(
    body: Body,
    to: Sink,
    terms: BodyTerms,
    idle: IdleWatch,
    resolve: (bytes: number) => void,
    reject: (error: unknown) => void,
  ) {
    this.#body = body;
    this.#to = to;
    this.#terms = terms;
    this.#idle = idle;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#flow = new Flow({
      source: body,
      to,
      coding: terms.coding,
      gate: terms.gate,
      prefix: terms.head,
      count: (bytes) => {
        this.#bytes += bytes;
        terms.count(bytes);
      },
      ended: (end) => this.#ended(end),
    });
  }

  start(): void {
    const { signal } = this.#terms;
    if (signal.aborted) return this.#onAbort();
    this.#flow.start(NOTHING);
    // Most bodies came with their head and are sent already.
    if (this.#isOver) return;
    // A listener of the program may have ended the request when it heard of the head.
    if (signal.aborted) return this.#onAbort();
    signal.addEventListener('abort', this.#onAbort);
    this.#idle.watch(this);
  }

  get limitMs(): number {
    const { silentMs, stuckMs } = this.#terms;
    return this.#flow.blockedOn === 'stream' ? stuckMs : silentMs;
  }

  wasTouched(): boolean {
    const { touched } = this.#flow;
    this.#flow.touched = false;
    return touched || this.#flow.blockedOn === 'gate';
  }

  expired(): void {
    const { silent, stuck } = this.#terms;
    const code = this.#flow.blockedOn === 'stream' ? stuck : silent;
    this.#fail(new ProxyError(code, `no byte of a body moved for ${this.limitMs} ms`));
  }

  #ended(end: FlowEnd): void {
    if (end.at === 'forbidden')
      return this.#fail(new ProxyError('quota_exceeded', 'the permit ended while a body was moving'));
    if (end.at === 'broken')
      return this.#fail(new ProxyError(this.#terms.broken, 'writing a body', { cause: end.error }));
    if (end.at === 'failed') return this.#fail(end.error);
    if (this.#terms.coding === 'chunked') {
      this.#to.write(`0\r\n${printFields(this.#terms.trailers(this.#body.trailers))}\r\n`, 'latin1');
    }
    if (this.#to.writableLength === 0) return this.#finish();
    // The caller may close the connection once the body is sent: bytes that still wait to be written would be lost.
    this.#to.write(NOTHING, (error) => {
      if (error) this.#fail(new ProxyError(this.#terms.broken, 'writing the end of a body', { cause: error }));
      else this.#finish();
    });
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#release();
    this.#resolve(this.#bytes);
  }

  readonly #onAbort = (): void => this.#fail(this.#terms.signal.reason);

  #fail(error: unknown): void {
    this.#flow.stop();
    this.#release();
    this.#reject(error);
  }

  #release(): void {
    this.#isOver = true;
    this.#idle.unwatch(this);
    this.#terms.signal.removeEventListener('abort', this.#onAbort);
  }
}
