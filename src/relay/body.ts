import type { BodyMover, BodyTerms } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Body } from '../core/request.ts';
import { NO_SLOT } from '../core/roster.ts';
import type { Sink } from '../core/source.ts';
import { printFields } from '../protocol/header-list.ts';
import { Flow, type FlowEnd } from './flow.ts';
import type { IdleWatch, Watched } from './idle-watch.ts';

const NOTHING = Buffer.alloc(0);

/** Message bodies move as tunnels do: one flow, the same gates and the same watch for silence. */
export const bodyMover = (idle: IdleWatch): BodyMover => ({
  move: (body, to, terms) => new Promise((resolve, reject) => new Move(body, to, terms, idle, resolve, reject).start()),
});

class Move implements Watched {
  slot = NO_SLOT;
  silentSinceMs = 0;
  readonly limitMs: number;
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
    this.limitMs = terms.idleMs;
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
    // Most bodies came with their head and are through: nothing to wait for.
    if (this.#isOver) return;
    signal.addEventListener('abort', this.#onAbort);
    this.#idle.watch(this);
  }

  wasTouched(): boolean {
    const { touched } = this.#flow;
    this.#flow.touched = false;
    return touched || this.#flow.waitsFor === 'gate';
  }

  expired(): void {
    const { silent, stuck, idleMs } = this.#terms;
    const code = this.#flow.waitsFor === 'stream' ? stuck : silent;
    this.#fail(new ProxyError(code, `a body stood still for ${idleMs} ms`));
  }

  #ended(end: FlowEnd): void {
    if (end.at === 'forbidden')
      return this.#fail(new ProxyError('over_rate', 'the permit ended while a body was moving'));
    if (end.at === 'broken')
      return this.#fail(new ProxyError(this.#terms.broken, 'writing a body', { cause: end.error }));
    if (end.at === 'failed') return this.#fail(end.error);
    if (this.#terms.coding === 'chunked') {
      this.#to.write(`0\r\n${printFields(this.#terms.trailers(this.#body.trailers))}\r\n`, 'latin1');
    }
    if (this.#to.writableLength === 0) return this.#finish();
    // Whoever is told that all is sent may close the connection, and what still waits to be written would be lost.
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
