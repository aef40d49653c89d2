import { FAILURES } from '../contracts/failure.ts';
import type { ProxyRecord } from '../contracts/record.ts';
import { quotable, word } from './escape.ts';
import { missingLines, protocolText, requestTarget } from './record-text.ts';
import { twoDigits } from './units.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;
const three = (status: number): string => String(status).padStart(3, '0');

const commonTime = (at: Date): string =>
  `${twoDigits(at.getUTCDate())}/${MONTHS[at.getUTCMonth()] ?? ''}/${at.getUTCFullYear()}:` +
  `${twoDigits(at.getUTCHours())}:${twoDigits(at.getUTCMinutes())}:${twoDigits(at.getUTCSeconds())} +0000`;

/** NCSA Common Log Format: `client - user [start, UTC] "request line" status bytes-down`. */
export function commonRecord(record: ProxyRecord): string {
  const line = [record.method, requestTarget(record) ?? '', protocolText(record.protocol)]
    .filter((part) => part !== '')
    .join(' ');
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
    record.kind === 'malformed' ? 'error:invalid-request' : word(requestTarget(record)),
    word(record.principal),
    squidHierarchy(record),
    '-',
  ].join(' ');
}

/** Viaduct has no cache, so each response from elsewhere is a MISS; the rest are refusals of ours, or not requests at all. */
function squidResult(record: ProxyRecord): string {
  if (record.kind === 'malformed' || record.kind === 'local') return 'NONE_NONE';
  if (isDenied(record)) return 'TCP_DENIED';
  const result = record.kind === 'tunnel' ? 'TCP_TUNNEL' : 'TCP_MISS';
  return record.failure === 'client_gone' ? `${result}_ABORTED` : result;
}
/** Whether the client received a refusal of ours, instead of what it asked for. */
function isDenied({ failure, status }: ProxyRecord): boolean {
  if (failure === undefined) return false;
  const { about, status: refusal, token } = FAILURES[failure];
  return about === 'us' && (status === refusal || failure === 'custom') && DENIAL_TOKENS.has(token);
}
const DENIAL_TOKENS: ReadonlySet<string> = new Set([
  'http_request_denied',
  'destination_ip_prohibited',
  'connection_limit_reached',
]);

function squidHierarchy({ route, address }: ProxyRecord): string {
  if (route?.via === 'proxies') return `FIRSTUP_PARENT/${word(route.hops[0].proxy.host)}`;
  return address === undefined ? 'HIER_NONE/-' : `HIER_DIRECT/${word(address)}`;
}

/** Neither format has a record for this; `#` starts a comment for the tools that read them. */
export const commonDropped = (lines: number): string => `# viaduct: ${missingLines(lines)}`;
