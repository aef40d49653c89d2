import type { DecidedTunnel } from '../contracts/decided-tunnel.ts';
import { asProxyError, ProxyError } from '../contracts/failure.ts';
import type { RelayEndListener, RelayLimits, RelayResult } from '../contracts/relay.ts';
import type { ClientInfo, TunnelRequest } from '../contracts/request.ts';
import type { Permit } from '../contracts/stages.ts';
import { TUNNEL_ENDS } from '../native/abi.ts';
import { endedBy } from '../native/relay-thread.ts';
import type { EndedTunnel, RepeatedTunnel, RepeatOwner, RepeatTable } from '../native/repeat-table.ts';
import { closeRecord } from '../pipeline/finish.ts';
import { RecordBuilder } from '../pipeline/record-builder.ts';
import type { Services } from '../pipeline/services.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { Stop } from '../util/stop.ts';
import type { ClientConnection, ClientPlace, ConnectionHost, RepeatableHead, Repeats } from './client-protocol.ts';
import { Place } from './places.ts';

/** A client with fewer places left is decided about each time, so that it is refused in time. More than go unreported. */
const SPARE_MIN = 1_024;
/** What took longer to decide and to dial is not repeated: its decision would be old when it is used. */
const LEARNED_MS = 1_000;

export interface RepeatedTunnelsDeps {
  readonly table: RepeatTable;
  readonly sessions: Sessions;
  nextId(): string;
}

/** Tunnels that the addon opens because the CONNECT before was the same: each has its events and its record all the same. */
export class RepeatedTunnels implements Repeats {
  readonly #deps: RepeatedTunnelsDeps;
  era = 0;
  abortedLate = 0;
  /** Listeners that were aborted, with the reason: what is reported of them later ends at once. */
  readonly #aborted = new WeakMap<ConnectionHost, ProxyError>();

  constructor(deps: RepeatedTunnelsDeps) {
    this.#deps = deps;
  }

  learn(decided: DecidedTunnel, read: RepeatableHead, host: ConnectionHost, services: Services): void {
    const { request, address } = decided;
    const { client, target } = request;
    const isAsSeen =
      client.isNamedByHeader === undefined && client.isOnBridge === undefined && client.tls === undefined;
    // What a hook has kept with a request is that request's alone.
    if (request.state !== undefined) return;
    const isOld = read.era !== this.era || services.clock.now() - request.startedMs > LEARNED_MS;
    if (!isAsSeen || isOld || host.spareFor(client) < SPARE_MIN) return;
    const key = { client: client.address, localAddress: client.localAddress ?? '', target: address, port: target.port };
    const repeated = new RepeatedDecision(decided, read, host, services, this);
    // As long as the addon may use it, the configuration that it comes from is in use.
    if (this.#deps.table.add({ ...read, ...key }, repeated)) services.lifetime.acquire();
  }

  forget(): void {
    this.era += 1;
    this.#deps.table.forget();
  }

  settle(): Promise<void> {
    this.era += 1;
    return this.#deps.table.settle();
  }

  abort(host: ConnectionHost, why: ProxyError): void {
    this.#aborted.set(host, why);
  }

  /** Why a tunnel that has just become known is to end at once. */
  abortLate(host: ConnectionHost): ProxyError | undefined {
    const why = this.#aborted.get(host);
    if (why !== undefined) this.abortedLate += 1;
    return why;
  }

  /** Tunnels that the addon has opened, is opening or has closed, and that `sessions` do not have yet. */
  get unreported(): number {
    return this.#deps.table.unreported;
  }

  get sessions(): Sessions {
    return this.#deps.sessions;
  }

  nextId(): string {
    return this.#deps.nextId();
  }

  /** A client that comes near to its share of the places is decided about each time. */
  checkSpace(host: ConnectionHost, client: ClientInfo): void {
    if (host.spareFor(client) < SPARE_MIN) this.forget();
  }
}

/** A bare 200 opens a tunnel (RFC 9110 §9.3.6). */
const ESTABLISHED = { status: 200, headers: [] } as const;

/** Of a tunnel that is over: nothing ends it any more. */
const NEVER = new Stop();
const OVER = { stop: () => undefined };

const noPermit = (): Permit => ({ limits: [], [Symbol.dispose]: () => undefined });

/** The permit, where it is there at once; otherwise the tunnel is stopped. */
function permitOf(acquire: () => Permit | Promise<Permit>, stop: Stop): Permit {
  try {
    const permit = acquire();
    if (!(permit instanceof Promise)) return permit;
    void permit.then(
      (late) => late[Symbol.dispose](),
      () => undefined,
    );
    stop.abort(new ProxyError('too_many_tunnels', 'a limit that a reload has brought'));
  } catch (error) {
    stop.abort(asProxyError(error));
  }
  return noPermit();
}

/** A tunnel that lives on, and the place of its client. One object, since silent ones are many. */
class FollowedTunnel implements ClientConnection, RelayLimits, RelayEndListener {
  readonly active = 1;
  readonly signal: Stop = new Stop();
  readonly place: ClientPlace = new Place();
  readonly #host: ConnectionHost;
  readonly #services: Services;
  #record: RecordBuilder | undefined;

  constructor(host: ConnectionHost, services: Services) {
    this.#host = host;
    this.#services = services;
    this.place.markBusy();
    this.place.of = this;
  }

  get idleMs(): number {
    return this.#services.timeouts.idleMs;
  }

  get lingerMs(): number {
    return this.#services.timeouts.lingerMs;
  }

  get permit(): Permit {
    return this.meter.permit ?? noPermit();
  }

  get meter(): RecordBuilder {
    if (this.#record === undefined) throw new TypeError('the tunnel has no record yet');
    return this.#record;
  }

  /** At once when it is known: its next event may already be there. `record` has its permit. */
  begin(slot: number, record: RecordBuilder): void {
    this.#record = record;
    this.#services.relay.follow?.(slot, this, this);
  }

  stop(why: ProxyError): void {
    this.signal.abort(why);
  }

  abort(why: ProxyError): void {
    this.signal.abort(why);
  }

  close(): void {}

  evict(): never {
    throw new Error('a tunnel is not idle');
  }

  relayEnded({ end }: RelayResult): void {
    const record = this.meter;
    record.end = end;
    record.permit?.[Symbol.dispose]();
    closeRecord(this.#services, record);
    this.#host.closed(this.place);
  }
}

/** What was decided about one CONNECT, and the tunnels that were opened by it. */
class RepeatedDecision implements RepeatOwner {
  readonly #decided: DecidedTunnel;
  readonly #read: RepeatableHead;
  readonly #host: ConnectionHost;
  readonly #services: Services;
  readonly #all: RepeatedTunnels;

  constructor(
    decided: DecidedTunnel,
    read: RepeatableHead,
    host: ConnectionHost,
    services: Services,
    all: RepeatedTunnels,
  ) {
    this.#decided = decided;
    this.#read = read;
    this.#host = host;
    this.#services = services;
    this.#all = all;
  }

  dropped(): void {
    this.#services.lifetime.release();
  }

  ended(tunnel: EndedTunnel): void {
    const { observe } = this.#services;
    const request = this.#requestOf(tunnel, NEVER);
    observe({ type: 'connection', client: request.client });
    const record = this.#recordOf(request, tunnel, OVER);
    record.up = tunnel.up;
    record.down = tunnel.down;
    record.end = tunnel.end === TUNNEL_ENDS.stopped ? 'aborted' : (endedBy(tunnel.end) ?? 'error');
    record.close(tunnel.endedMs);
    observe({ type: 'connectionClosed', client: request.client });
  }

  opened(tunnel: RepeatedTunnel): void {
    const followed = new FollowedTunnel(this.#host, this.#services);
    const { signal } = followed;
    const request = this.#requestOf(tunnel, signal);
    this.#host.adopt(request.client, followed.place);
    this.#all.checkSpace(this.#host, request.client);
    const aborted = this.#all.abortLate(this.#host);
    if (aborted !== undefined) signal.abort(aborted);
    const record = this.#recordOf(request, tunnel, followed);
    this.#services.lifetime.acquire();
    // Limits that a reload has brought meanwhile may want to hold it up.
    const { principal } = this.#decided;
    record.permit = permitOf(() => this.#services.limiter.acquire({ request, principal }, record), signal);
    followed.begin(tunnel.slot, record);
  }

  #requestOf({ clientPort, acceptedMs }: RepeatedTunnel, signal: Stop): TunnelRequest {
    const { request } = this.#decided;
    const client = { ...request.client, port: clientPort };
    return { ...request, id: this.#all.nextId(), client, signal, startedMs: acceptedMs };
  }

  #recordOf(
    request: TunnelRequest,
    { acceptedMs, openedMs }: RepeatedTunnel,
    client: { stop(why: ProxyError): void },
  ): RecordBuilder {
    const { observe, clock } = this.#services;
    const { principal, decision, routes, by, route, address } = this.#decided;
    const { head, response } = this.#read;
    const { id } = request;
    const record = new RecordBuilder(request, client, this.#services, this.#all.sessions, clock.now() - acceptedMs);
    observe({ type: 'request', id, request });
    record.enter('identify', acceptedMs);
    record.principal = principal;
    record.enter('admit', acceptedMs);
    record.decision = decision;
    observe({ type: 'decided', id, decision });
    record.enter('route', acceptedMs);
    observe({ type: 'routed', id, routes, by });
    record.enter('connect', acceptedMs);
    record.route = route;
    record.address = address;
    record.responseStarted(ESTABLISHED);
    observe({ type: 'established', id });
    record.heads = {
      clientRead: head.length,
      clientWritten: response.length,
      upstreamRead: 0,
      upstreamWritten: 0,
    };
    record.enter('relay', openedMs);
    return record;
  }
}
