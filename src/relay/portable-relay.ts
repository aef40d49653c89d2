import type { Meter, Relay, RelayEnd, RelayEndListener, RelayLimits } from '../contracts/relay.ts';
import type { Connection } from '../contracts/stages.ts';
import type { IdleTarget, IdleWatch } from '../net/idle-watch.ts';
import { NO_SLOT } from '../util/slot-list.ts';
import { Flow, type FlowEnd } from './flow.ts';
import { runBy } from './run-relay.ts';

type Side = 'client' | 'upstream';

/** The relay in TypeScript, for every platform: two flows, and the rules for how a tunnel ends. */
export function portableRelay(idle: IdleWatch): Relay {
  const start: Relay['start'] = (client, upstream, limits, listener) =>
    new Tunnel(client, upstream, limits, idle, listener).start();
  return { start, run: runBy(start) };
}

class Tunnel implements IdleTarget {
  slot = NO_SLOT;
  silentSinceMs = 0;
  readonly #client: Connection;
  readonly #upstream: Connection;
  readonly #limits: RelayLimits;
  readonly #idle: IdleWatch;
  readonly #meter: Meter;
  readonly #up: Flow;
  readonly #down: Flow;
  readonly #listener: RelayEndListener;
  #firstToEnd: Side | undefined;
  /** Directions that have not ended. */
  #open = 2;
  #over = false;

  constructor(
    client: Connection,
    upstream: Connection,
    limits: RelayLimits,
    idle: IdleWatch,
    listener: RelayEndListener,
  ) {
    this.#client = client;
    this.#upstream = upstream;
    this.#limits = limits;
    this.#idle = idle;
    this.#meter = limits.meter;
    this.#listener = listener;
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

  /** After the first end the other side may still send, as long as it does so now and then. */
  get limitMs(): number {
    return this.#firstToEnd === undefined ? this.#limits.idleMs : this.#limits.lingerMs;
  }

  wasTouched(): boolean {
    // A side that waits for a limit is not silent: the relay holds its bytes back.
    const isHeld = this.#up.blockedOn === 'gate' || this.#down.blockedOn === 'gate';
    const touched = this.#up.touched || this.#down.touched;
    this.#up.touched = false;
    this.#down.touched = false;
    return touched || isHeld;
  }

  expired(): void {
    this.#close(this.#firstToEnd ?? 'idle');
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
      // A FIN would tell the side that is left that the data is complete.
      from.wire.reset();
      to.wire.reset();
      return this.#close(end.at === 'forbidden' ? 'limit' : this.#endOfFailure(end, side));
    }
    if (this.#firstToEnd === undefined) {
      this.#firstToEnd = side;
      // The time of the other side begins here, however long both were silent before.
      this.#up.touched = true;
      this.#idle.rescheduleSooner(this);
    }
    // RFC 9110 §9.3.6 asks for both ends to be closed once the outstanding data is delivered. The FIN is passed on
    // instead, and the other half stays open for a while: clients that send, shut down and read need it.
    const { stream } = to.wire;
    // When the other direction is done, closing sends the same FIN, and saves a system call.
    if (stream.destroyed || (this.#open === 1 && stream.writableLength === 0)) return this.#halfDone();
    stream.end(() => this.#halfDone());
  }

  /** A client that resets its connection has left, which is not an error. One that has vanished is one (ETIMEDOUT). */
  #endOfFailure({ at, error }: FlowEnd & { readonly at: 'failed' | 'broken' }, source: Side): RelayEnd {
    const isClients = (at === 'failed') === (source === 'client');
    const isSilent = 'code' in error && error.code === 'ETIMEDOUT';
    return isClients && !isSilent ? (this.#firstToEnd ?? 'client') : 'error';
  }

  #halfDone(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#finish(this.#firstToEnd ?? 'error');
  }

  readonly #onAbort = (): void => {
    this.#client.wire.reset();
    this.#upstream.wire.reset();
    this.#close('aborted');
  };

  /** A side to which not all was sent that came for it is reset: it would take a FIN for the end of the data. */
  #close(end: RelayEnd): void {
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
    const { up, down } = this.#meter;
    queueMicrotask(() => this.#listener.relayEnded({ up, down, end }));
  }
}
