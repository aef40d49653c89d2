import type { TimedStep, WireBytes } from '../contracts/record.ts';
import type { Authority, ClientInfo, RequestState } from '../contracts/request.ts';
import type { Route } from '../contracts/stages.ts';
import { hostKey } from '../protocol/addresses/authority.ts';
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

/**
 * Which sessions: those for which the function returns true, or that match all that is given. What is given as `undefined`
 * counts: `{ user: undefined }` are sessions without a user, not all of them.
 */
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

const KEYS: Readonly<
  Record<keyof Exclude<SessionFilter, (session: Session) => boolean>, (session: Session) => unknown>
> = {
  user: ({ user }) => user,
  client: ({ client }) => client.address,
  host: ({ target }) => target && hostKey(target.host),
  kind: ({ kind }) => kind,
};

/**
 * Throws a TypeError for a filter with other keys. A program may be written in JavaScript, and a key that is spelled wrong
 * would pick every session.
 */
export function sessionTest(filter: SessionFilter): (session: Session) => boolean {
  if (typeof filter === 'function') return filter;
  if (typeof filter !== 'object' || filter === null) throw new TypeError(`a filter of sessions: ${WRITE_FILTER}`);
  const wanted = Object.entries(filter).map(([key, value]) => {
    if (!isKey(key)) throw new TypeError(`a filter of sessions has no ${key}: ${WRITE_FILTER}`);
    const asCompared = key === 'host' && typeof value === 'string' ? hostKey(value.toLowerCase()) : value;
    return (session: Session) => KEYS[key](session) === asCompared;
  });
  return (session) => wanted.every((matches) => matches(session));
}

const isKey = (key: string): key is keyof typeof KEYS => Object.hasOwn(KEYS, key);
const WRITE_FILTER = `write a function, or an object with ${Object.keys(KEYS).join(', ')}`;
