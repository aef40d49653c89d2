import type { BytesOnWire, TunnelResponder } from '../contracts/client.ts';
import type { DecidedTunnel } from '../contracts/decided-tunnel.ts';
import type { WireBytes } from '../contracts/record.ts';
import type { RelayEndListener, RelayLimits, RelayResult } from '../contracts/relay.ts';
import type { TunnelRequest } from '../contracts/request.ts';
import type {
  AdmittedRequest,
  ConnectedRequest,
  Connection,
  Permit,
  ReceivedRequest,
  RouteSource,
} from '../contracts/stages.ts';
import type { TunnelHook } from '../contracts/tunnel-hook.ts';
import type { StopSignal } from '../util/stop.ts';
import { closeRecord, recordFailure } from './finish.ts';
import type { RecordBuilder } from './record-builder.ts';
import type { Services } from './services.ts';
import { admit, connect, identify, route } from './steps.ts';
import { ownTunnel } from './tunnel-hook.ts';

/** A tunnel from the moment that it is open: what its relay needs, and what follows its end. One object, since silent ones are many. */
export class OpenTunnel implements RelayLimits, RelayEndListener {
  readonly signal: StopSignal;
  readonly idleMs: number;
  readonly permit: Permit;
  readonly meter: RecordBuilder;
  readonly #upstream: Connection;
  readonly #client: Connection;
  readonly #services: Services;

  constructor({ permit, upstream }: OpenedUpstream, client: Connection, opened: Opened) {
    const { signal, services, record } = opened;
    this.signal = signal;
    this.idleMs = record.route?.terms?.idleMs ?? services.timeouts.idleMs;
    this.permit = permit;
    this.meter = record;
    this.#upstream = upstream;
    this.#client = client;
    this.#services = services;
  }

  get lingerMs(): number {
    return this.#services.timeouts.lingerMs;
  }

  relay(): void {
    this.meter.enter('relay');
    try {
      this.#services.relay.start(this.#client, this.#upstream, this, this);
    } catch (thrown) {
      this.#end(thrown);
    }
  }

  relayEnded({ end }: RelayResult): void {
    this.meter.end = end;
    this.#end();
  }

  /** Gives back, in reverse, what was taken, and closes the record. */
  #end(thrown?: unknown): void {
    try {
      if (thrown !== undefined) throw thrown;
      this.#client[Symbol.dispose]();
      this.#upstream[Symbol.dispose]();
    } catch (error) {
      recordFailure(error, this.#services, this.meter);
    }
    this.permit[Symbol.dispose]();
    closeRecord(this.#services, this.meter);
  }
}

interface Opened {
  readonly signal: StopSignal;
  readonly services: Services;
  readonly record: RecordBuilder;
}

/**
 * A CONNECT (RFC 9110 §9.3.6), or a tunnel of another protocol, until it is open. Reordering the steps does not compile; leaving
 * early gives back, in reverse, what was taken.
 */
export async function openTunnel(
  received: ReceivedRequest<TunnelRequest>,
  client: TunnelResponder,
  services: Services,
  record: RecordBuilder,
): Promise<OpenTunnel> {
  const opened = await openUpstream(received, client, services, record);
  const { permit, upstream } = opened;
  try {
    const tunnel = await client.established();
    record.responseStarted(ESTABLISHED);
    services.observe({ type: 'established', id: received.request.id });
    record.tunnelOpened(tunnel, headBytes(client.bytesOnWire ?? allOf(tunnel), allOf(upstream)));
    return new OpenTunnel(opened, tunnel, { signal: received.request.signal, services, record });
  } catch (error) {
    upstream[Symbol.dispose]();
    permit[Symbol.dispose]();
    throw error;
  }
}

interface OpenedUpstream {
  readonly permit: Permit;
  readonly upstream: Connection;
}

/** Apart from the relaying: what one step passes to the next would otherwise be held for as long as the tunnel is open. */
async function openUpstream(
  received: ReceivedRequest<TunnelRequest>,
  client: TunnelResponder,
  services: Services,
  record: RecordBuilder,
): Promise<OpenedUpstream> {
  const admitted = await admit(await identify(received, services, record), services, record);
  try {
    const own = services.tunnel && (await toProgram(services.tunnel, admitted, services, record));
    if (own !== undefined) return { permit: admitted.permit, upstream: own };
    const connected = await connect(await route(admitted, services, record), services, record);
    const decided = services.decisions === 'repeat' ? repeatable(connected) : undefined;
    if (decided !== undefined) client.repeat?.(decided);
    return connected;
  } catch (error) {
    admitted.permit[Symbol.dispose]();
    throw error;
  }
}

/** Sources of routes that answer the same until the configuration is another one. */
const STEADY_SOURCES: ReadonlySet<RouteSource['kind']> = new Set(['default', 'rule', 'no-proxy']);

/** What was decided, where it depends on the request and the configuration alone. */
function repeatable(connected: ConnectedRequest<TunnelRequest>): DecidedTunnel | undefined {
  const { request, principal, decision, routes, by, route, upstream } = connected;
  const isPlain = route.via === 'direct' && route.terms === undefined && route.isFallback === undefined;
  const { address } = upstream;
  if (!isPlain || address === undefined || routes.length > 1 || !STEADY_SOURCES.has(by.kind)) return undefined;
  return { request, principal, decision, routes, by, route, address };
}

/** Bytes on a connection so far, without those that the tunnel is about to pass on. */
function allOf({ wire, early }: Connection): BytesOnWire | undefined {
  const { bytesRead, bytesWritten: written } = wire;
  if (bytesRead === undefined || written === undefined) return undefined;
  return { read: bytesRead - early.length, written };
}

const headBytes = (client: BytesOnWire | undefined, upstream: BytesOnWire | undefined): WireBytes | undefined =>
  client &&
  upstream && {
    clientRead: client.read,
    clientWritten: client.written,
    upstreamRead: upstream.read,
    upstreamWritten: upstream.written,
  };

/** Where the hook of a program connects the tunnel to something of its own. */
function toProgram(
  hook: TunnelHook,
  admitted: AdmittedRequest<TunnelRequest>,
  { clock }: Services,
  record: RecordBuilder,
): ReturnType<typeof ownTunnel> {
  record.enter('connect');
  return ownTunnel(hook, admitted, clock);
}

/** A bare 200 opens a tunnel (RFC 9110 §9.3.6). */
const ESTABLISHED = { status: 200, headers: [] } as const;
