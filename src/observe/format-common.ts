import type { ProxyRecord } from '../core/record.ts';
import { formatAuthority } from '../protocol/authority.ts';
import { publicUrl, quotable, word } from './escape.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;
const two = (n: number): string => String(n).padStart(2, '0');
const three = (status: number): string => String(status).padStart(3, '0');

const commonTime = (at: Date): string =>
  `${two(at.getUTCDate())}/${MONTHS[at.getUTCMonth()] ?? ''}/${at.getUTCFullYear()}:` +
  `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())} +0000`;

/** What was asked for: `host:port` of a CONNECT, else the URL. */
const asked = (record: ProxyRecord): string => {
  if (record.url !== undefined) return publicUrl(record.url);
  return record.target === undefined ? '' : formatAuthority(record.target);
};

/** NCSA Common Log Format: `client - user [start, UTC] "request line" status bytes-down`. */
export function commonRecord(record: ProxyRecord): string {
  const line = [record.method, asked(record), `HTTP/${record.protocol}`].filter((part) => part !== '').join(' ');
  const request = record.method === '' ? '-' : quotable(line);
  const bytes = record.bytesDown > 0 ? record.bytesDown : '-';
  return (
    `${word(record.client.address)} - ${word(record.principal)} [${commonTime(record.startedAt)}] ` +
    `"${request}" ${three(record.status)} ${bytes}`
  );
}

/**
 * Squid's native access.log, so that the tools that read it go on working:
 * `end.ms duration client result/status bytes method URL user hierarchy/peer type`.
 */
export function squidRecord(record: ProxyRecord): string {
  const end = (record.startedAt.getTime() + record.durationMs) / 1000;
  const duration = String(Math.round(record.durationMs)).padStart(6);
  return [
    end.toFixed(3),
    duration,
    word(record.client.address),
    `${squidResult(record)}/${three(record.status)}`,
    record.bytesDown,
    word(record.method),
    record.kind === 'malformed' ? 'error:invalid-request' : word(asked(record)),
    word(record.principal),
    squidHierarchy(record),
    '-',
  ].join(' ');
}

/** Viaduct has no cache, so whatever was fetched is a MISS; what never left is a refusal of ours or no request at all. */
function squidResult(record: ProxyRecord): string {
  if (record.kind === 'malformed' || record.kind === 'own') return 'NONE_NONE';
  if (DENIED.has(record.failure ?? '')) return 'TCP_DENIED';
  const result = record.kind === 'tunnel' ? 'TCP_TUNNEL' : 'TCP_MISS';
  return record.failure === 'client_gone' ? `${result}_ABORTED` : result;
}
const DENIED: ReadonlySet<string> = new Set([
  'denied',
  'address_prohibited',
  'credentials_required',
  'over_rate',
  'at_capacity',
  'draining',
]);

function squidHierarchy({ route, address }: ProxyRecord): string {
  if (route?.via === 'proxies') return `FIRSTUP_PARENT/${word(route.hops[0].proxy.host)}`;
  return address === undefined ? 'HIER_NONE/-' : `HIER_DIRECT/${word(address)}`;
}

/** Neither format has a place for this; `#` starts a comment for the tools that read them. */
export const commonDropped = (lines: number): string =>
  `# viaduct: ${lines} lines are missing here, the log was too slow`;
