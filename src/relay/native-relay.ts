import { Socket } from 'node:net';
import type { MeterSource, Relay, RelayEnd, RelayEndListener, RelayLimits } from '../contracts/relay.ts';
import type { Connection, LimitListener } from '../contracts/stages.ts';
import { TUNNEL_ENDS } from '../native/abi.ts';
import { type Direction, endedBy, type NativeThread, type RelayedTunnel } from '../native/relay-thread.ts';
import { EpollWire } from '../net/epoll-wire.ts';
import type { IdleTarget, IdleWatch } from '../net/idle-watch.ts';
import { SocketWire } from '../net/node-wire.ts';
import type { Clock } from '../util/clock.ts';
import { NO_SLOT, SlotList, SlotRef } from '../util/slot-list.ts';
import { GrantedDirection, type GrantedTunnel } from './granted-direction.ts';
import { runBy } from './run-relay.ts';

/** Meters of open tunnels are brought up to date this often. */
const METER_MS = 1_000;
/** Peers are checked at every so-manieth update; most tunnels are over before the first. */
const UPDATES_PER_CHECK = 20;

export interface NativeOptions {
  readonly thread: NativeThread;
  /** Takes what the thread cannot: TLS, other transports. */
  readonly portable: Relay;
  readonly idle: IdleWatch;
  readonly clock: Clock;
}

/** The relay on a thread of its own. What limits apply to passes there as `GrantedDirection` describes. */
export class NativeRelay implements Relay {
  readonly options: NativeOptions;
  readonly #open = new SlotList<SlotRef<NativeTunnel>>();
  #metering: Disposable | undefined;

  constructor(options: NativeOptions) {
    this.options = options;
  }

  readonly run: Relay['run'] = runBy((...tunnel) => this.start(...tunnel));

  start(client: Connection, upstream: Connection, limits: RelayLimits, listener: RelayEndListener): void {
    const { portable } = this.options;
    const from = limits.signal.aborted ? undefined : takeSocket(client);
    if (from === undefined) return portable.start(client, upstream, limits, listener);
    const to = takeSocket(upstream);
    if (to === undefined) return portable.start(restoreConnection(from), upstream, limits, listener);
    const tunnel = new NativeTunnel(client, upstream, limits, this, listener);
    if (!tunnel.start(from, to))
      return portable.start(restoreConnection(from), restoreConnection(to), limits, listener);
    this.#add(tunnel);
  }

  follow(slot: number, limits: RelayLimits, listener: RelayEndListener): void {
    const tunnel = new NativeTunnel(NO_CONNECTION, NO_CONNECTION, limits, this, listener);
    tunnel.follow(slot);
    this.#add(tunnel);
  }

  #add(tunnel: NativeTunnel): void {
    this.#open.add(tunnel.ref);
    this.#metering ??= this.#meterSoon();
  }

  /** The tunnel is no longer on the thread. */
  remove(tunnel: NativeTunnel): void {
    this.#open.delete(tunnel.ref);
    if (this.#open.size > 0) return;
    this.#metering?.[Symbol.dispose]();
    this.#metering = undefined;
  }

  #meterSoon(): Disposable {
    return this.options.clock.after(METER_MS, () => {
      for (const { of: tunnel } of this.#open) tunnel.update();
      this.#metering = this.#meterSoon();
    });
  }
}

/** One side of a tunnel on its way to the thread. */
interface TakenSocket {
  readonly connection: Connection;
  readonly fd: number;
  readonly early: Buffer;
  /** Node closes its own descriptor, so the thread needs a copy; the descriptor of an epoll socket is given away. */
  readonly is: 'given' | 'copied';
}

/** Only of a plain socket, and when all that was written to it has gone to the kernel. */
function takeSocket(connection: Connection): TakenSocket | undefined {
  const { wire, early } = connection;
  if (wire instanceof EpollWire) {
    const taken = wire.takeFd();
    if (taken === undefined) return undefined;
    const first = taken.early.length === 0 ? early : Buffer.concat([early, taken.early]);
    return { connection, fd: taken.fd, early: first, is: 'given' };
  }
  if (!(wire instanceof SocketWire)) return undefined;
  const { destroyed, writableEnded, writableLength } = wire.stream;
  const fd = destroyed || writableEnded || writableLength > 0 ? undefined : wire.descriptor;
  return fd === undefined ? undefined : { connection, fd, early, is: 'copied' };
}

/** The connection, when the relay in TypeScript moves its bytes after all. */
const restoreConnection = ({ connection, fd, early, is }: TakenSocket): Connection =>
  is === 'given' ? reopened(fd, early, connection) : connection;

/** In place of a connection whose socket the thread has opened. */
const NO_CONNECTION: Disposable = { [Symbol.dispose]: () => undefined };

const DIRECTIONS: readonly Direction[] = ['up', 'down'];
const NONE: readonly GrantedDirection[] = [];

/** One tunnel on the thread. It keeps little: there may be ten thousand silent ones. */
class NativeTunnel implements RelayedTunnel, IdleTarget, LimitListener, MeterSource, GrantedTunnel {
  slot = NO_SLOT;
  silentSinceMs = 0;
  readonly ref: SlotRef<NativeTunnel> = new SlotRef(this);
  readonly #client: Disposable;
  readonly #upstream: Disposable;
  readonly #limits: RelayLimits;
  readonly #relay: NativeRelay;
  readonly #listener: RelayEndListener;
  #slot = -1;
  #firstToEnd: 'client' | 'upstream' | undefined;
  /** Why this relay stopped it, where it did. */
  #stopped: RelayEnd | undefined;
  #updates = 0;
  /** Bytes that had passed at the last scan of the idle watch. */
  #seen = 0;
  /** Directions that limits apply to. */
  #granted: readonly GrantedDirection[] = NONE;

  constructor(
    client: Disposable,
    upstream: Disposable,
    limits: RelayLimits,
    relay: NativeRelay,
    listener: RelayEndListener,
  ) {
    this.#client = client;
    this.#upstream = upstream;
    this.#limits = limits;
    this.#relay = relay;
    this.#listener = listener;
  }

  /** False: the thread cannot take it, and nothing has happened. */
  start(from: TakenSocket, to: TakenSocket): boolean {
    const granted = DIRECTIONS.flatMap((direction) => this.#limitOf(direction) ?? []);
    const limited = granted.map(({ direction }) => direction);
    const slot = this.#relay.options.thread.add(this, from, to, limited);
    if (slot === undefined) return false;
    this.#slot = slot;
    if (granted.length > 0) this.#granted = granted;
    for (const one of granted) one.begin(slot, 0);
    for (const { connection, is } of [from, to]) {
      if (is === 'given') connection.socketTaken?.();
      else if (connection.wire instanceof SocketWire) connection.wire.detach();
    }
    this.#listen();
    return true;
  }

  /** The thread has it already, without a limit. */
  follow(slot: number): void {
    this.#slot = slot;
    this.#relay.options.thread.adopt(slot, this);
    this.#listen();
    this.onLimited();
    if (this.#limits.signal.aborted) this.handleEvent();
  }

  #listen(): void {
    const { permit, signal } = this.#limits;
    signal.addEventListener('abort', this);
    permit.limitListener = this;
    this.#limits.meter.source = this;
    this.#relay.options.idle.watch(this);
  }

  get limitMs(): number {
    return this.#firstToEnd === undefined ? this.#limits.idleMs : this.#limits.lingerMs;
  }

  wasTouched(): boolean {
    const { thread } = this.#relay.options;
    const moved = thread.movedUp(this.#slot) + thread.movedDown(this.#slot);
    const touched = moved !== this.#seen;
    this.#seen = moved;
    // A side that waits for a limit is not silent: its bytes are held back.
    return touched || this.#granted.some(({ isHeld }) => isHeld);
  }

  expired(): void {
    this.#stopped ??= this.#firstToEnd ?? 'idle';
    this.#relay.options.thread.command(this.#slot, 'close');
  }

  /** The signal was aborted. */
  handleEvent(): void {
    this.#stopped ??= 'aborted';
    this.#relay.options.thread.command(this.#slot, 'abort');
  }

  /** A limit has come to apply, or the permit is over: then the next byte is refused, which ends the tunnel. */
  onLimited(): void {
    const { thread } = this.#relay.options;
    for (const direction of DIRECTIONS) {
      if (this.#granted.some((one) => one.direction === direction)) continue;
      const granted = this.#limitOf(direction);
      if (granted === undefined) continue;
      this.#granted = [...this.#granted, granted];
      granted.begin(this.#slot, this.#moved(direction));
      thread.command(this.#slot, direction === 'up' ? 'limitUp' : 'limitDown');
    }
  }

  wants(direction: Direction, bytes: number): void {
    const granted = this.#granted.find((one) => one.direction === direction);
    // Freed a moment ago.
    if (granted === undefined || granted.wants(bytes)) return;
    this.#granted = this.#granted.filter((one) => one !== granted);
    granted.end(this.#moved(direction));
    this.#relay.options.thread.command(this.#slot, direction === 'up' ? 'unlimitUp' : 'unlimitDown');
  }

  returns(direction: Direction, bytes: number): void {
    this.#granted.find((one) => one.direction === direction)?.returns(bytes);
  }

  onForbidden(): void {
    this.#stopped ??= 'limit';
    this.#relay.options.thread.command(this.#slot, 'abort');
  }

  update(): void {
    this.updateMeter();
    this.#updates += 1;
    if (this.#updates % UPDATES_PER_CHECK === 0) this.#relay.options.thread.command(this.#slot, 'checkPeers');
  }

  updateMeter(): void {
    const { thread } = this.#relay.options;
    const { meter } = this.#limits;
    meter.up = thread.movedUp(this.#slot);
    meter.down = thread.movedDown(this.#slot);
  }

  halfClosed(side: number): void {
    this.#firstToEnd = endedBy(side);
    // The time of the other side begins here, however long both were silent before.
    this.#seen = -1;
    this.#relay.options.idle.rescheduleSooner(this);
  }

  closed(end: number): void {
    this.#unregister();
    this.#finish(endOf(end) ?? this.#stopped ?? 'error');
  }

  #finish(end: RelayEnd): void {
    const { up, down } = this.#limits.meter;
    // First: the tunnel is over for its caller, also where a hook of the connection throws.
    queueMicrotask(() => this.#listener.relayEnded({ up, down, end }));
    this.#client[Symbol.dispose]();
    this.#upstream[Symbol.dispose]();
  }

  /** What limits that direction; `undefined`: nothing does. */
  #limitOf(direction: Direction): GrantedDirection | undefined {
    const { permit } = this.#limits;
    const gate = permit.isIdle === true ? undefined : permit[direction];
    if (gate === undefined || gate.isIdle === true) return undefined;
    return new GrantedDirection(direction, gate, this.#relay.options.thread, this);
  }

  #moved(direction: Direction): number {
    const { thread } = this.#relay.options;
    return direction === 'up' ? thread.movedUp(this.#slot) : thread.movedDown(this.#slot);
  }

  #unregister(): void {
    const { permit, signal } = this.#limits;
    this.updateMeter();
    for (const granted of this.#granted) granted.end(this.#moved(granted.direction));
    this.#relay.options.idle.unwatch(this);
    signal.removeEventListener('abort', this);
    permit.limitListener = undefined;
    this.#limits.meter.source = undefined;
    this.#relay.remove(this);
  }
}

const endOf = (code: number): RelayEnd | undefined =>
  endedBy(code) ?? (code === TUNNEL_ENDS.error ? 'error' : undefined);

/** A socket around a descriptor that the thread has given back, with the bytes that are to be written first. */
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
