import { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import type { Relay, RelayEnd, RelayLimits, RelayResult } from '../core/contracts.ts';
import { NO_SLOT, Roster, Seat } from '../core/roster.ts';
import type { Connection, Gate, Unheeding } from '../core/stages.ts';
import { SocketWire } from '../core/wire.ts';
import { ENDS } from '../native/addon.ts';
import { LaneWire } from '../native/lane-wire.ts';
import { endedBy, type NativeThread, type Passenger, type Sockets } from '../native/thread.ts';
import type { IdleWatch, Watched } from './idle-watch.ts';

/** Meters of open tunnels are brought up to date this often, for whoever looks at them. */
const METER_MS = 1_000;
/** Whoever is open at so many looks is asked for probes; most tunnels are over long before one could be due. */
const PROBE_AT_LOOK = 20;

export interface NativeOptions {
  readonly thread: NativeThread;
  /** Takes what the thread cannot: TLS, limits, other transports. */
  readonly portable: Relay;
  readonly idle: IdleWatch;
  readonly clock: Clock;
}

/** The relay on a thread of its own, which gives a tunnel back as soon as a limit applies to it. */
export class NativeRelay implements Relay {
  readonly options: NativeOptions;
  readonly #open = new Roster<Seat<NativeTunnel>>();
  #metering: Disposable | undefined;

  constructor(options: NativeOptions) {
    this.options = options;
  }

  run(client: Connection, upstream: Connection, limits: RelayLimits): Promise<RelayResult> {
    const { portable } = this.options;
    const from = isUnlimited(limits) ? leaving(client) : undefined;
    if (from === undefined) return portable.run(client, upstream, limits);
    const to = leaving(upstream);
    if (to === undefined) return portable.run(stayed(from), upstream, limits);
    return new Promise((resolve) => {
      const tunnel = new NativeTunnel(client, upstream, limits, this, resolve);
      if (!tunnel.start(from, to)) return resolve(portable.run(stayed(from), stayed(to), limits));
      this.#open.add(tunnel.seat);
      this.#metering ??= this.#meterSoon();
    });
  }

  /** The thread has nothing to do with it any more. */
  left(tunnel: NativeTunnel): void {
    this.#open.delete(tunnel.seat);
    if (this.#open.size > 0) return;
    this.#metering?.[Symbol.dispose]();
    this.#metering = undefined;
  }

  #meterSoon(): Disposable {
    return this.options.clock.after(METER_MS, () => {
      for (const { of: tunnel } of this.#open) tunnel.look();
      this.#metering = this.#meterSoon();
    });
  }
}

/** Whether bytes need not ask anybody before they pass. */
const isUnlimited = ({ permit, signal }: RelayLimits): boolean =>
  !signal.aborted && isIdle(permit.up) && isIdle(permit.down);

const isIdle = (gate: Gate | undefined): boolean => gate === undefined || gate.isIdle === true;

/** One side of a tunnel on its way to the thread. */
interface Leaving {
  readonly connection: Connection;
  readonly fd: number;
  readonly early: Buffer;
  /** Node closes its own descriptor, and the thread needs a copy; a socket of the lane is given away. */
  readonly is: 'given' | 'copied';
}

/** Only a plain socket to which everything that was written for it has gone may leave. */
function leaving(connection: Connection): Leaving | undefined {
  const { wire, early } = connection;
  if (wire instanceof LaneWire) {
    const given = wire.giveAway();
    if (given === undefined) return undefined;
    const first = given.early.length === 0 ? early : Buffer.concat([early, given.early]);
    return { connection, fd: given.fd, early: first, is: 'given' };
  }
  if (!(wire instanceof SocketWire)) return undefined;
  const { destroyed, writableEnded, writableLength } = wire.stream;
  const fd = destroyed || writableEnded || writableLength > 0 ? undefined : wire.descriptor;
  return fd === undefined ? undefined : { connection, fd, early, is: 'copied' };
}

/** The connection, when its bytes are moved here after all. */
const stayed = ({ connection, fd, early, is }: Leaving): Connection =>
  is === 'given' ? reopened(fd, early, connection) : connection;

/** One tunnel on the thread. What is kept here for it is little: there may be ten thousand that are silent. */
class NativeTunnel implements Passenger, Watched, Unheeding {
  slot = NO_SLOT;
  silentSinceMs = 0;
  readonly seat: Seat<NativeTunnel> = new Seat(this);
  readonly #client: Connection;
  readonly #upstream: Connection;
  readonly #limits: RelayLimits;
  readonly #home: NativeRelay;
  readonly #resolve: (result: RelayResult | Promise<RelayResult>) => void;
  #slot = -1;
  #firstToEnd: 'client' | 'upstream' | undefined;
  /** Why it was stopped, when it was us who did. */
  #stopped: RelayEnd | undefined;
  #looks = 0;
  /** Bytes that had passed at the last look of the idle watch. */
  #seen = 0;

  constructor(
    client: Connection,
    upstream: Connection,
    limits: RelayLimits,
    home: NativeRelay,
    resolve: (result: RelayResult | Promise<RelayResult>) => void,
  ) {
    this.#client = client;
    this.#upstream = upstream;
    this.#limits = limits;
    this.#home = home;
    this.#resolve = resolve;
  }

  /** False: the thread cannot take it, and nothing has happened. */
  start(from: Leaving, to: Leaving): boolean {
    const { thread, idle } = this.#home.options;
    const { permit, signal } = this.#limits;
    const slot = thread.take(this, from, to);
    if (slot === undefined) return false;
    this.#slot = slot;
    for (const { wire } of [this.#client, this.#upstream]) if (wire instanceof SocketWire) wire.detach();
    signal.addEventListener('abort', this);
    permit.unheeding = this;
    idle.watch(this);
    return true;
  }

  get limitMs(): number {
    return this.#firstToEnd === undefined ? this.#limits.idleMs : this.#limits.lingerMs;
  }

  wasTouched(): boolean {
    const { thread } = this.#home.options;
    const moved = thread.movedUp(this.#slot) + thread.movedDown(this.#slot);
    const touched = moved !== this.#seen;
    this.#seen = moved;
    return touched;
  }

  expired(): void {
    this.#stopped ??= this.#firstToEnd ?? 'idle';
    this.#home.options.thread.order(this.#slot, 'cut');
  }

  /** The signal was aborted. */
  handleEvent(): void {
    this.#stopped ??= 'aborted';
    this.#home.options.thread.order(this.#slot, 'abort');
  }

  limited(): void {
    this.#home.options.thread.order(this.#slot, 'release');
  }

  look(): void {
    this.updateMeter();
    this.#looks += 1;
    if (this.#looks === PROBE_AT_LOOK) this.#home.options.thread.order(this.#slot, 'probe');
  }

  updateMeter(): void {
    const { thread } = this.#home.options;
    const { meter } = this.#limits;
    meter.up = thread.movedUp(this.#slot);
    meter.down = thread.movedDown(this.#slot);
  }

  half(who: number): void {
    this.#firstToEnd = endedBy(who);
    // The other side has its time from here on, however long both were silent before.
    this.#seen = -1;
    this.#home.options.idle.lookSooner(this);
  }

  over(end: number): void {
    this.#leave();
    this.#client[Symbol.dispose]();
    this.#upstream[Symbol.dispose]();
    const { up, down } = this.#limits.meter;
    this.#resolve({ up, down, end: endOf(end) ?? this.#stopped ?? 'error' });
  }

  /** The other relay goes on where the thread has stopped. */
  released({ client, upstream, firstToEnd }: Sockets): void {
    this.#leave();
    const { portable } = this.#home.options;
    const from = reopened(client.fd, client.early, this.#client);
    const to = reopened(upstream.fd, upstream.early, this.#upstream);
    this.#resolve(portable.run(from, to, { ...this.#limits, firstToEnd }));
  }

  #leave(): void {
    const { permit, signal } = this.#limits;
    this.updateMeter();
    this.#home.options.idle.unwatch(this);
    signal.removeEventListener('abort', this);
    permit.unheeding = undefined;
    this.#home.left(this);
  }
}

const endOf = (code: number): RelayEnd | undefined => endedBy(code) ?? (code === ENDS.error ? 'error' : undefined);

/** A socket around a descriptor that the thread has given back, with what is to be written first. */
function reopened(fd: number, early: Buffer, before: Connection): Connection {
  const wire = new SocketWire();
  wire.attach(new Socket({ fd, allowHalfOpen: true, onread: wire.onread }));
  return {
    wire,
    early,
    address: before.address,
    [Symbol.dispose]() {
      wire.stream.destroy();
      before[Symbol.dispose]();
    },
  };
}
