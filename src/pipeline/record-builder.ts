import type { Responder, SentHead } from '../contracts/client.ts';
import type { FailureCode, ProxyError } from '../contracts/failure.ts';
import type { Stoppable } from '../contracts/limits.ts';
import type { ProxyRecord, TimedStep, WireBytes } from '../contracts/record.ts';
import type { Meter, MeterSource, RelayEnd } from '../contracts/relay.ts';
import type { LocalRequest, ProxyRequest } from '../contracts/request.ts';
import type { Connection, Decision, Permit, Principal, Route } from '../contracts/stages.ts';
import { publishStepEnd, publishStepStart } from '../observe/diagnostics-channels.ts';
import { firstOf } from '../protocol/http1/header-list.ts';
import { traceIdOf } from '../protocol/http1/traceparent.ts';
import type { LiveEntry, LiveRequest, Sessions } from '../sessions/sessions.ts';
import { NO_SLOT } from '../util/slot-list.ts';
import type { Services } from './services.ts';
import { WireMeter } from './wire-meter.ts';

/**
 * What becomes known of one request while it is served: its entry among the live ones, and its record when it ends.
 * One object for both, and for the meter of its relay, since every request pays for it.
 */
export class RecordBuilder implements Meter, LiveEntry, Stoppable {
  /** Among the live requests. */
  slot: number = NO_SLOT;
  readonly #request: ProxyRequest | LocalRequest;
  #client: Stopped;
  readonly #services: Services;
  readonly #sessions: Sessions;
  readonly #startedWallMs: number;
  readonly #stepMs: Partial<Record<TimedStep, number>> = {};
  #step: TimedStep | undefined;
  #stepSinceMs = 0;
  #status = 0;
  up = 0;
  down = 0;
  source: MeterSource | undefined;
  principal: Principal | undefined;
  decision: Decision | undefined;
  permit: Permit | undefined;
  route: Route | undefined;
  address: string | undefined;
  end: RelayEnd | undefined;
  /** What had passed on both connections before the tunnel's own bytes. */
  heads: WireBytes | undefined;
  /** Of a plain request, once it has been sent on. */
  #upstreamBytes: WireMeter | undefined;
  /** What is worth knowing of a request that has not failed. */
  remark: string | undefined;
  failure: { readonly code: FailureCode; readonly detail: string } | undefined;

  /** Enters the request among the live ones, until `close`. `ageMs`: it was received so long ago. */
  constructor(
    request: ProxyRequest | LocalRequest,
    client: Stopped,
    services: Services,
    sessions: Sessions,
    ageMs = 0,
  ) {
    this.#request = request;
    this.#client = client;
    this.#services = services;
    this.#sessions = sessions;
    this.#startedWallMs = services.clock.wallMs() - ageMs;
    sessions.add(this);
  }

  /** Of a plain request that is about to be sent on. */
  get upstreamBytes(): WireMeter {
    this.#upstreamBytes ??= new WireMeter();
    return this.#upstreamBytes;
  }

  get kind(): ProxyRecord['kind'] {
    return this.#request.kind;
  }

  get step(): TimedStep | undefined {
    return this.#step;
  }

  get id(): string {
    return this.#request.id;
  }

  /** Begins a step. Its time runs until the next one begins or the request ends, whichever way. */
  enter(step: TimedStep, nowMs: number = this.#services.clock.now()): void {
    this.#leave(nowMs);
    this.#step = step;
    this.#stepSinceMs = nowMs;
    publishStepStart(this.#request.id, step);
  }

  /** The client has been sent this response, or its beginning. */
  responseStarted({ status, headers }: SentHead): void {
    this.#status = status;
    const { id, state } = this.#request;
    this.#services.observe({ type: 'response', id, status, headers, state });
  }

  /** `heads`: what has passed so far that is not the tunnel's. The responder has done its part, and need not be kept. */
  tunnelOpened(tunnel: Connection, heads: WireBytes | undefined): void {
    this.heads = heads;
    if (canBeStopped(tunnel)) this.#client = tunnel;
  }

  /** A plain request has become a tunnel: what has passed so far, of which the upstream's `early` bytes are the tunnel's. */
  countHeads(early: number): void {
    const wire = this.#wire();
    this.heads = wire && withPayload({ ...wire, upstreamRead: wire.upstreamRead - early }, -this.up, -this.down);
  }

  snapshot(): LiveRequest {
    const nowMs = this.#services.clock.now();
    this.source?.updateMeter();
    const timings = { ...this.#stepMs };
    if (this.#step !== undefined) timings[this.#step] = nowMs - this.#stepSinceMs;
    return { step: this.#step, record: this.#record(nowMs, timings), heldBy: this.permit?.heldBy };
  }

  /** Its record has this reason, unless it fails by itself before: an aborted relay does not say why. */
  stop(why: ProxyError): void {
    this.failure ??= { code: why.code, detail: why.detail };
    this.#client.stop(why);
  }

  /** It has failed with this; a response that has begun may still go out in part. */
  fail(error: ProxyError): void {
    const { id, state } = this.#request;
    this.failure = { code: error.code, detail: error.detail };
    this.#services.observe({ type: 'error', id, error, state });
  }

  /** Takes the request from the live ones, and reports its record; the only place where a record is made for good. */
  close(nowMs: number = this.#services.clock.now()): void {
    const { id } = this.#request;
    this.#leave(nowMs);
    const record = this.#record(nowMs, this.#stepMs);
    this.#sessions.remove(this, record);
    this.#services.observe({ type: 'close', id, record });
  }

  #leave(nowMs: number): void {
    if (this.#step === undefined) return;
    const ms = nowMs - this.#stepSinceMs;
    this.#stepMs[this.#step] = ms;
    publishStepEnd(this.#request.id, this.#step, ms);
  }

  /** Of a request that is no open tunnel, also of one that was refused or answered here. */
  #wire(): WireBytes | undefined {
    // What went to proxies and targets meanwhile is not counted.
    const wasDialled = this.#step === 'connect' || this.#stepMs.connect !== undefined;
    if (this.#request.kind === 'tunnel' && wasDialled) return undefined;
    const client = this.#client.bytesOnWire;
    const upstream = this.#upstreamBytes === undefined ? NOTHING_SENT : this.#upstreamBytes.total;
    if (client === undefined || upstream === undefined) return undefined;
    return {
      clientRead: client.read,
      clientWritten: client.written,
      upstreamRead: upstream.read,
      upstreamWritten: upstream.written,
    };
  }

  #record(nowMs: number, timings: ProxyRecord['timings']): ProxyRecord {
    const request = this.#request;
    return {
      id: request.id,
      kind: request.kind,
      protocol: request.protocol,
      startedAt: new Date(this.#startedWallMs),
      durationMs: nowMs - request.startedMs,
      client: request.client,
      principal: this.principal === undefined || this.principal.scheme === 'none' ? undefined : this.principal.name,
      method: request.method,
      target: request.kind === 'local' ? undefined : request.target,
      url: urlOf(request),
      userAgent: firstOf(request.headers, 'user-agent'),
      traceId: traceIdOf(request.headers),
      rule: this.decision?.rule,
      wouldDeny: this.decision?.wouldDeny,
      wouldAllow: this.decision?.verdict === 'deny' ? this.decision.wouldAllow : undefined,
      limits: this.permit?.limits ?? NO_LIMITS,
      route: this.route,
      address: this.address,
      status: this.#status,
      failure: this.failure?.code,
      detail: this.failure?.detail ?? this.remark,
      bytesUp: this.up,
      bytesDown: this.down,
      wire: this.heads === undefined ? this.#wire() : withPayload(this.heads, this.up, this.down),
      end: this.end,
      timings,
      state: request.state,
    };
  }
}

/** What a request is ended by: its responder, and then the client's side of its tunnel. */
export type Stopped = Pick<Responder, 'stop' | 'bytesOnWire'>;
const canBeStopped = (tunnel: Connection): tunnel is Connection & Stopped => tunnel.stop !== undefined;

const NOTHING_SENT = { read: 0, written: 0 } as const;

const withPayload = (heads: WireBytes, up: number, down: number): WireBytes => ({
  clientRead: heads.clientRead + up,
  clientWritten: heads.clientWritten + down,
  upstreamRead: heads.upstreamRead + down,
  upstreamWritten: heads.upstreamWritten + up,
});

const NO_LIMITS: readonly string[] = [];

function urlOf(request: ProxyRequest | LocalRequest): string | undefined {
  if (request.kind === 'tunnel') return undefined;
  return withoutQuery(request.kind === 'forward' ? request.url : request.path);
}

/** A query often holds a token; no log ever needs it. */
const withoutQuery = (url: string): string => {
  const at = url.indexOf('?');
  return at < 0 ? url : url.slice(0, at);
};
