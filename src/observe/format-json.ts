import type { ProxyRecord } from '../core/record.ts';
import type { Route } from '../core/stages.ts';
import { formatAuthority } from '../protocol/authority.ts';
import { cut, jsonLine, publicUrl } from './escape.ts';

/** `direct`, or the hops nearest first: `http://proxy.corp:8080`. */
export const routeText = (route: Route): string =>
  route.via === 'direct'
    ? 'direct'
    : route.hops.map(({ scheme, proxy }) => `${scheme}://${formatAuthority(proxy)}`).join(' ');

/**
 * One object per line. The names are a promise to log pipelines: they are added to, never renamed or reused.
 * `time` is the start, in UTC; `ms` and `stages` are milliseconds; `up` is from the client, `down` is to it.
 * What is unknown is absent, not null.
 */
export function jsonRecord(record: ProxyRecord): string {
  return jsonLine({
    time: record.startedAt.toISOString(),
    type: 'request',
    id: record.id,
    kind: record.kind,
    client: record.client.address,
    clientPort: record.client.port,
    listener: record.client.listener,
    user: shown(record.principal),
    method: record.method,
    target: record.target && formatAuthority(record.target),
    url: record.url === undefined ? undefined : cut(publicUrl(record.url)),
    protocol: `HTTP/${record.protocol}`,
    userAgent: shown(record.userAgent),
    rule: record.rule,
    wouldDeny: record.wouldDeny,
    limits: record.limits.length > 0 ? record.limits : undefined,
    route: record.route && routeText(record.route),
    address: record.address,
    status: record.status,
    failure: record.failure,
    detail: shown(record.detail),
    end: record.end,
    bytesUp: record.bytesUp,
    bytesDown: record.bytesDown,
    ms: tenths(record.durationMs),
    stages: stagesOf(record.stageMs),
  });
}

const shown = (text: string | undefined): string | undefined => (text === undefined ? undefined : cut(text));

function stagesOf(stageMs: ProxyRecord['stageMs']): Record<string, number> {
  const stages: Record<string, number> = {};
  for (const [stage, ms] of Object.entries(stageMs)) stages[stage] = tenths(ms);
  return stages;
}

const tenths = (ms: number): number => Math.round(ms * 10) / 10;

/** What stands in the log where lines are missing. */
export const jsonDropped = (lines: number, at: Date): string =>
  jsonLine({ time: at.toISOString(), type: 'dropped', lines });
