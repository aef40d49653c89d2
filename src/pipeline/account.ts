import type { Meter, RelayEnd } from '../core/contracts.ts';
import type { FailureCode } from '../core/failure.ts';
import type { ProxyRecord, Stage } from '../core/record.ts';
import type { OwnRequest, ProxyRequest } from '../core/request.ts';
import type { Decision, Permit, Principal, Route } from '../core/stages.ts';
import { firstOf } from '../protocol/header-list.ts';
import type { Rooms } from './rooms.ts';

/** What is learnt about one request while its story runs; it becomes one record when the story ends. */
export class Account implements Meter {
  readonly #request: ProxyRequest | OwnRequest;
  readonly #rooms: Rooms;
  readonly #startedWallMs: number;
  readonly #stageMs: Partial<Record<Stage, number>> = {};
  #stage: Stage | undefined;
  #stageSinceMs = 0;
  up = 0;
  down = 0;
  status = 0;
  principal: Principal | undefined;
  decision: Decision | undefined;
  permit: Permit | undefined;
  route: Route | undefined;
  address: string | undefined;
  end: RelayEnd | undefined;
  failure: { readonly code: FailureCode; readonly detail: string } | undefined;

  constructor(request: ProxyRequest | OwnRequest, rooms: Rooms) {
    this.#request = request;
    this.#rooms = rooms;
    this.#startedWallMs = rooms.clock.wallMs();
  }

  /** Begins a step. Its time runs until the next one begins or the story ends, whichever way. */
  enter(stage: Stage): void {
    const nowMs = this.#rooms.clock.now();
    this.#leave(nowMs);
    this.#stage = stage;
    this.#stageSinceMs = nowMs;
  }

  /** Tells everyone; the only place where a record is made. */
  close(): void {
    const { id } = this.#request;
    const nowMs = this.#rooms.clock.now();
    this.#leave(nowMs);
    this.#rooms.observe({ type: 'closed', id, record: this.#record(nowMs) });
  }

  #leave(nowMs: number): void {
    if (this.#stage !== undefined) this.#stageMs[this.#stage] = nowMs - this.#stageSinceMs;
  }

  #record(nowMs: number): ProxyRecord {
    const request = this.#request;
    return {
      id: request.id,
      kind: request.kind,
      protocol: request.version,
      startedAt: new Date(this.#startedWallMs),
      durationMs: nowMs - request.startedMs,
      client: request.client,
      principal: this.principal === undefined || this.principal.scheme === 'none' ? undefined : this.principal.name,
      method: request.method,
      target: request.kind === 'own' ? undefined : request.target,
      url: urlOf(request),
      userAgent: firstOf(request.headers, 'user-agent'),
      rule: this.decision?.rule,
      wouldDeny: this.decision?.wouldDeny,
      wouldAllow: this.decision?.verdict === 'deny' ? this.decision.wouldAllow : undefined,
      limits: this.permit?.limits ?? NO_LIMITS,
      route: this.route,
      address: this.address,
      status: this.status,
      failure: this.failure?.code,
      detail: this.failure?.detail,
      bytesUp: this.up,
      bytesDown: this.down,
      end: this.end,
      stageMs: this.#stageMs,
    };
  }
}

const NO_LIMITS: readonly string[] = [];

function urlOf(request: ProxyRequest | OwnRequest): string | undefined {
  if (request.kind === 'tunnel') return undefined;
  return withoutQuery(request.kind === 'forward' ? request.url : request.path);
}

/** A query often holds a token; no log ever needs it. */
const withoutQuery = (url: string): string => {
  const at = url.indexOf('?');
  return at < 0 ? url : url.slice(0, at);
};
