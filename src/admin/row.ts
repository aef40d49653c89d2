import type { ProxyRecord } from '../contracts/record.ts';
import { protocolText, requestTarget, routeText } from '../observe/record-text.ts';
import { formatAuthority } from '../protocol/addresses/authority.ts';
import type { LiveRequest } from '../sessions/sessions.ts';

/** A live or a closed request, as the API shows it. What is not known is absent. */
export interface Row {
  /** The first key: scripts take it by its place. */
  readonly id: string;
  readonly kind: ProxyRecord['kind'];
  readonly target: string;
  readonly method: string;
  readonly url?: string | undefined;
  readonly client: string;
  /** Of a private address, by reverse DNS. */
  readonly clientName?: string | undefined;
  readonly clientPort: number;
  readonly user?: string | undefined;
  readonly listener: string;
  /** What the client speaks: `HTTP/1.1`, `HTTP/2.0`, `SOCKS5`. */
  readonly protocol: string;
  /** TLS between the client and this proxy, where there is any: `TLSv1.3`. */
  readonly tls?: string | undefined;
  readonly route?: string | undefined;
  readonly rule?: string | undefined;
  readonly limits: readonly string[];
  /** Name of the limit that holds it back now. */
  readonly heldBy?: string | undefined;
  readonly state: string;
  readonly startedAt: string;
  readonly ageMs: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Bytes per second over the last second. */
  readonly rateUp: number;
  readonly rateDown: number;
  readonly status?: number | undefined;
  readonly failure?: string | undefined;
  readonly detail?: string | undefined;
  readonly end?: ProxyRecord['end'];
  readonly address?: string | undefined;
  /** Milliseconds of each step. */
  readonly timings: Readonly<Record<string, number>>;
}

/** Bytes per second, up and down. */
export interface Rates {
  readonly up: number;
  readonly down: number;
}

const STILL: Rates = { up: 0, down: 0 };

export function liveRow(
  { step, heldBy, record }: LiveRequest,
  clientName: string | undefined,
  rates: Rates = STILL,
): Row {
  return rowOf(record, clientName, { state: step ?? 'identify', heldBy, rates });
}

export const closedRow = (record: ProxyRecord, clientName: string | undefined): Row =>
  rowOf(record, clientName, { state: 'closed', heldBy: undefined, rates: STILL });

interface Moment {
  readonly state: string;
  readonly heldBy: string | undefined;
  readonly rates: Rates;
}

function rowOf(record: ProxyRecord, clientName: string | undefined, { state, heldBy, rates }: Moment): Row {
  const { id, kind, method, client, route, target, status, timings } = record;
  return {
    id,
    kind,
    target: target === undefined ? (requestTarget(record) ?? '') : formatAuthority(target),
    method,
    url: record.url === undefined ? undefined : requestTarget(record),
    client: client.address,
    clientName,
    clientPort: client.port,
    user: record.principal,
    listener: client.listener,
    protocol: protocolText(record.protocol),
    tls: client.tls?.version,
    route: route && routeText(route),
    rule: record.rule,
    limits: record.limits,
    heldBy,
    state,
    startedAt: record.startedAt.toISOString(),
    ageMs: Math.round(record.durationMs),
    bytesUp: record.bytesUp,
    bytesDown: record.bytesDown,
    rateUp: rates.up,
    rateDown: rates.down,
    status: status === 0 ? undefined : status,
    failure: record.failure,
    detail: record.detail,
    end: record.end,
    address: record.address,
    timings: Object.fromEntries(Object.entries(timings).map(([name, ms]) => [name, Math.round(ms * 100) / 100])),
  };
}
