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
  readonly #startedAt: Date;
  readonly #stageMs: Partial<Record<Stage, number>> = {};
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
    this.#startedAt = new Date(rooms.clock.wallMs());
  }

  /** Runs one step and keeps how long it took, whichever way it ended. Most steps have nothing to wait for. */
  timed<T>(stage: Stage, step: () => T | Promise<T>): T | Promise<T> {
    const startedMs = this.#rooms.clock.now();
    const ended = () => {
      this.#stageMs[stage] = this.#rooms.clock.now() - startedMs;
    };
    try {
      const result = step();
      if (result instanceof Promise) return result.finally(ended);
      ended();
      return result;
    } catch (error) {
      ended();
      throw error;
    }
  }

  /** Tells everyone; the only place where a record is made. */
  close(): void {
    const { id } = this.#request;
    this.#rooms.observe({ type: 'closed', id, record: this.#record() });
  }

  #record(): ProxyRecord {
    const request = this.#request;
    const userAgent = firstOf(request.headers, 'user-agent');
    return {
      id: request.id,
      kind: request.kind,
      protocol: request.version,
      startedAt: this.#startedAt,
      durationMs: this.#rooms.clock.now() - request.startedMs,
      client: request.client,
      method: request.method,
      limits: this.permit?.limits ?? [],
      status: this.status,
      bytesUp: this.up,
      bytesDown: this.down,
      stageMs: this.#stageMs,
      ...(request.kind !== 'own' && { target: request.target }),
      ...(request.kind === 'forward' && { url: withoutQuery(request.url) }),
      ...(request.kind === 'own' && { url: withoutQuery(request.path) }),
      ...(userAgent !== undefined && { userAgent }),
      ...(this.principal !== undefined && this.principal.scheme !== 'none' && { principal: this.principal.name }),
      ...(this.decision !== undefined && { rule: this.decision.rule }),
      ...(this.decision?.wouldDeny !== undefined && { wouldDeny: this.decision.wouldDeny }),
      ...(this.route !== undefined && { route: this.route }),
      ...(this.address !== undefined && { address: this.address }),
      ...(this.end !== undefined && { end: this.end }),
      ...(this.failure !== undefined && { failure: this.failure.code, detail: this.failure.detail }),
    };
  }
}

/** A query often holds a token; no log ever needs it. */
const withoutQuery = (url: string): string => {
  const at = url.indexOf('?');
  return at < 0 ? url : url.slice(0, at);
};
