import type { TimedStep, WireBytes } from '../contracts/record.ts';
import type { Authority, ClientInfo, RequestState } from '../contracts/request.ts';
import type { Route } from '../contracts/stages.ts';
import type { LiveRequest } from './sessions.ts';

/** A request or a tunnel in progress, as it was when a program asked. */
export interface Session {
  readonly id: string;
  readonly kind: 'tunnel' | 'forward' | 'local';
  readonly method: string;
  /** `undefined` for a page of the proxy itself. */
  readonly target: Authority | undefined;
  /** Plain requests only, without the query. */
  readonly url: string | undefined;
  /** The object that the requests of its connection carry. */
  readonly client: ClientInfo;
  /** `undefined`: not known yet, or clients need no account. */
  readonly user: string | undefined;
  /** `undefined` until it is connected. */
  readonly route: Route | undefined;
  /** The address that was dialled. */
  readonly address: string | undefined;
  /** The step that it is in. */
  readonly step: TimedStep | undefined;
  /** As in its record, so far; of tunnels on the native relay too. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly wire: WireBytes | undefined;
  readonly startedAt: Date;
  readonly ageMs: number;
  /** Names of the limits that apply. */
  readonly limits: readonly string[];
  /** Name of the limit that holds it back now. */
  readonly heldBy: string | undefined;
  /** What the hooks have kept with it. */
  readonly state: RequestState | undefined;
}

/** Which sessions: those for which the function returns true, or that match all that is given. */
export type SessionFilter =
  | ((session: Session) => boolean)
  | {
      readonly user?: string | undefined;
      /** Address of the client. */
      readonly client?: string | undefined;
      /** Host of the target. */
      readonly host?: string | undefined;
      readonly kind?: Session['kind'] | undefined;
    };

export function sessionOf({ step, record, heldBy }: LiveRequest): Session {
  const { id, kind, method, target, url, client, principal, route, address, bytesUp, bytesDown, startedAt } = record;
  return {
    id,
    // A head that is no request is never in progress.
    kind: kind === 'malformed' ? 'local' : kind,
    method,
    target,
    url,
    client,
    user: principal,
    route,
    address,
    step,
    bytesUp,
    bytesDown,
    wire: record.wire,
    startedAt,
    ageMs: record.durationMs,
    limits: record.limits,
    heldBy,
    state: record.state,
  };
}

export function matchesFilter(session: Session, filter: SessionFilter): boolean {
  if (typeof filter === 'function') return filter(session);
  const { user = session.user, client = session.client.address } = filter;
  const { host = session.target?.host, kind = session.kind } = filter;
  return (
    user === session.user && client === session.client.address && host === session.target?.host && kind === session.kind
  );
}
