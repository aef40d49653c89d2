import { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import type { Relay, RelayEnd, RelayLimits, RelayResult } from '../core/contracts.ts';
import { NO_SLOT, Roster, Seat } from '../core/roster.ts';
import type { Wire } from '../core/source.ts';
import type { Connection, Gate, Unheeding } from '../core/stages.ts';
import { SocketWire } from '../core/wire.ts';
import type { IdleWatch, Watched } from './idle-watch.ts';
import { ENDS } from './native-addon.ts';
import type { NativeThread, Passenger, Sockets } from './native-thread.ts';

/** Meters of open tunnels are brought up to date this often, for whoever looks at them. */
const METER_MS = 1_000;

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
    const clientFd = descriptorOf(client.wire);
    const upstreamFd = descriptorOf(upstream.wire);
    const { portable } = this.options;
    if (clientFd === undefined || upstreamFd === undefined || !isUnlimited(limits)) {
      return portable.run(client, upstream, limits);
    }
    return new Promise((resolve) => {
      const tunnel = new NativeTunnel(client, upstream, limits, this, resolve);
      if (!tunnel.start(clientFd, upstreamFd)) return resolve(portable.run(client, upstream, limits));
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
      for (const { of: tunnel } of this.#open) tunnel.updateMeter();
      this.#metering = this.#meterSoon();
    });
  }
}

/** Whether bytes need not ask anybody before they pass. */
const isUnlimited = ({ permit, signal }: RelayLimits): boolean =>
  !signal.aborted && isIdle(permit.up) && isIdle(permit.down);

const isIdle = (gate: Gate | undefined): boolean => gate === undefined || gate.isIdle === true;

/** Only of a plain socket to which everything that was written for it has gone. */
function descriptorOf(wire: Wire): number | undefined {
  if (!(wire instanceof SocketWire)) return undefined;
  const { destroyed, writableEnded, writableLength } = wire.stream;
  return destroyed || writableEnded || writableLength > 0 ? undefined : wire.descriptor;
}

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
  /** Bytes that had passed at the last look. */
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
  start(clientFd: number, upstreamFd: number): boolean {
    const { thread, idle } = this.#home.options;
    const { permit, signal } = this.#limits;
    const slot = thread.take(
      this,
      { fd: clientFd, early: this.#client.early },
      { fd: upstreamFd, early: this.#upstream.early },
    );
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

  updateMeter(): void {
    const { thread } = this.#home.options;
    const { meter } = this.#limits;
    meter.up = thread.movedUp(this.#slot);
    meter.down = thread.movedDown(this.#slot);
  }

  half(who: number): void {
    this.#firstToEnd = who === ENDS.client ? 'client' : 'upstream';
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
  released({ client, upstream }: Sockets): void {
    this.#leave();
    const { portable } = this.#home.options;
    const from = reopened(client.fd, client.early, this.#client);
    const to = reopened(upstream.fd, upstream.early, this.#upstream);
    this.#resolve(portable.run(from, to, this.#limits));
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

function endOf(code: number): RelayEnd | undefined {
  if (code === ENDS.client) return 'client';
  if (code === ENDS.upstream) return 'upstream';
  return code === ENDS.error ? 'error' : undefined;
}

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
