import type { Meter, Relay, RelayEnd, RelayLimits, RelayResult } from '../core/contracts.ts';
import { NO_SLOT } from '../core/roster.ts';
import type { Connection } from '../core/stages.ts';
import { Flow, type FlowEnd } from './flow.ts';
import type { IdleWatch, Watched } from './idle-watch.ts';

type Side = 'client' | 'upstream';

/** The relay in TypeScript, for every platform: two flows, and the rules for how a tunnel ends. */
export const portableRelay = (idle: IdleWatch): Relay => ({
  run: (client, upstream, limits) =>
    new Promise((resolve) => new Tunnel(client, upstream, limits, idle, resolve).start()),
});

class Tunnel implements Watched {
  slot = NO_SLOT;
  silentSinceMs = 0;
  readonly #client: Connection;
  readonly #upstream: Connection;
  readonly #limits: RelayLimits;
  readonly #idle: IdleWatch;
  readonly #meter: Meter;
  readonly #up: Flow;
  readonly #down: Flow;
  readonly #resolve: (result: RelayResult) => void;
  #firstToEnd: Side | undefined;
  /** Directions that have neither ended nor been cut. */
  #open = 2;
  #over = false;

  constructor(
    client: Connection,
    upstream: Connection,
    limits: RelayLimits,
    idle: IdleWatch,
    resolve: (result: RelayResult) => void,
  ) {
    this.#client = client;
    this.#upstream = upstream;
    this.#limits = limits;
    this.#idle = idle;
    this.#meter = limits.meter;
    this.#firstToEnd = limits.firstToEnd;
    this.#resolve = resolve;
    const { up, down } = limits.permit;
    this.#up = this.#flow(client, upstream, 'client', up, (bytes) => (this.#meter.up += bytes));
    this.#down = this.#flow(upstream, client, 'upstream', down, (bytes) => (this.#meter.down += bytes));
  }

  start(): void {
    const { signal } = this.#limits;
    if (signal.aborted) return this.#onAbort();
    signal.addEventListener('abort', this.#onAbort);
    this.#idle.watch(this);
    this.#up.start(this.#client.early);
    this.#down.start(this.#upstream.early);
  }

  /** After the first end the other side may still answer, as long as it says something now and then. */
  get limitMs(): number {
    return this.#firstToEnd === undefined ? this.#limits.idleMs : this.#limits.lingerMs;
  }

  wasTouched(): boolean {
    // Whoever waits for a limit is not silent: it is us who hold its bytes.
    const isHeld = this.#up.waitsFor === 'gate' || this.#down.waitsFor === 'gate';
    const touched = this.#up.touched || this.#down.touched;
    this.#up.touched = false;
    this.#down.touched = false;
    return touched || isHeld;
  }

  expired(): void {
    this.#cut(this.#firstToEnd ?? 'idle');
  }

  #flow(
    from: Connection,
    to: Connection,
    side: Side,
    gate: RelayLimits['permit']['up'],
    count: (n: number) => void,
  ): Flow {
    return new Flow({
      source: from.wire,
      to: to.wire.stream,
      coding: 'raw',
      gate,
      count,
      ended: (end) => this.#ended(end, side, from, to),
    });
  }

  #ended(end: FlowEnd, side: Side, from: Connection, to: Connection): void {
    if (end.at !== 'ended') {
      // Whoever is left learns of the cut as a cut: a FIN would tell it that the data is complete.
      from.wire.reset();
      to.wire.reset();
      return this.#cut(end.at === 'forbidden' ? 'limit' : 'error');
    }
    if (this.#firstToEnd === undefined) {
      this.#firstToEnd = side;
      // The other side has its time from here on, however long both were silent before.
      this.#up.touched = true;
      this.#idle.lookSooner(this);
    }
    // RFC 9110 §9.3.6 asks for both ends to be closed once the outstanding data is delivered. The FIN is passed on
    // instead, and the other half stays open for a while: clients that send, shut down and read need it.
    const { stream } = to.wire;
    // When the other half is through, closing says the same as a FIN, and saves one.
    if (stream.destroyed || (this.#open === 1 && stream.writableLength === 0)) return this.#halfDone();
    stream.end(() => this.#halfDone());
  }

  #halfDone(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#finish(this.#firstToEnd ?? 'error');
  }

  readonly #onAbort = (): void => {
    this.#client.wire.reset();
    this.#upstream.wire.reset();
    this.#cut('aborted');
  };

  /** A side that has not got all that came for it is reset: to it, a FIN would mean that the data is complete. */
  #cut(end: RelayEnd): void {
    if (this.#up.isHolding || this.#upstream.wire.stream.writableLength > 0) this.#upstream.wire.reset();
    if (this.#down.isHolding || this.#client.wire.stream.writableLength > 0) this.#client.wire.reset();
    this.#up.stop();
    this.#down.stop();
    this.#finish(end);
  }

  #finish(end: RelayEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#idle.unwatch(this);
    this.#limits.signal.removeEventListener('abort', this.#onAbort);
    this.#client[Symbol.dispose]();
    this.#upstream[Symbol.dispose]();
    this.#resolve({ up: this.#meter.up, down: this.#meter.down, end });
  }
}
