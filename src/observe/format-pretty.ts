import type { ProxyRecord } from '../contracts/record.ts';
import { printable } from './escape.ts';
import { missingLines, protocolText, requestTarget, routeText } from './record-text.ts';
import { bytesText, durationText, rateText, twoDigits } from './units.ts';

/** How a line is painted: with colours on a terminal, not at all elsewhere. */
export type Paint = (style: 'dim' | 'bold' | 'red' | 'green' | 'yellow' | 'cyan', text: string) => string;

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
export const plain: Paint = (_style, text) => text;
export const colourful: Paint = (style, text) => `\x1b[${CODES[style]}m${text}\x1b[0m`;

const localTime = (at: Date): string =>
  `${twoDigits(at.getHours())}:${twoDigits(at.getMinutes())}:${twoDigits(at.getSeconds())}`;

/** Local time of the end, method, target, status, bytes up and down, duration, rate; then what was unusual. */
export function prettyRecord(record: ProxyRecord, paint: Paint): string {
  const ended = new Date(record.startedAt.getTime() + record.durationMs);
  const bytes = record.bytesUp + record.bytesDown;
  return [
    paint('dim', localTime(ended)),
    printable(record.method || '-').padEnd(7),
    paint('bold', printable(requestTarget(record) ?? '-').padEnd(36)),
    paintStatus(record, paint),
    `↑ ${bytesText(record.bytesUp).padStart(7)}`,
    `↓ ${bytesText(record.bytesDown).padStart(7)}`,
    durationText(record.durationMs).padStart(9),
    rateText(bytes, record.timings.relay ?? record.durationMs).padStart(10),
    remarks(record, paint).join(paint('dim', '; ')),
  ]
    .join(' ')
    .trimEnd();
}

function paintStatus(record: ProxyRecord, paint: Paint): string {
  const text = record.status === 0 ? ' - ' : String(record.status).padStart(3);
  if (record.failure !== undefined || record.status >= 500) return paint('red', text);
  return paint(record.status >= 400 ? 'yellow' : 'green', text);
}

function remarks(record: ProxyRecord, paint: Paint): string[] {
  const parts: string[] = [];
  if (record.failure !== undefined) {
    const why = record.detail ?? (record.rule === undefined ? undefined : `rule ${record.rule}`);
    parts.push(paint('red', `${record.failure}${why === undefined ? '' : `: ${printable(why)}`}`));
  }
  if (record.wouldDeny !== undefined) parts.push(paint('yellow', `rule ${printable(record.wouldDeny)} would deny`));
  if (record.wouldAllow !== undefined) parts.push(paint('yellow', `rule ${printable(record.wouldAllow)} would allow`));
  if (record.end !== undefined && record.end !== 'client' && record.end !== 'upstream') {
    parts.push(paint('yellow', ENDS[record.end]));
  }
  if (record.route?.via === 'direct' && record.route.isFallback === true)
    parts.push(paint('yellow', 'direct_fallback'));
  if (record.route?.via === 'proxies') parts.push(paint('cyan', `via ${printable(routeText(record.route))}`));
  if (!record.protocol.startsWith('http/1')) parts.push(paint('dim', printable(protocolText(record.protocol))));
  if (record.client.tls !== undefined) parts.push(paint('dim', printable(record.client.tls.version)));
  const who = clientText(record);
  if (who !== undefined) parts.push(paint('dim', printable(who)));
  return parts;
}

const ENDS = {
  idle: 'closed: idle',
  limit: 'aborted: a limit is used up',
  aborted: 'aborted by the proxy',
  error: 'aborted: connection error',
} as const;

/** User and address of the client; nothing for one without a user on this machine. */
function clientText({ principal, client }: ProxyRecord): string | undefined {
  const near = client.address === '' || client.address === '::1' || /^(::ffff:)?127\./.test(client.address);
  if (principal) return near ? principal : `${principal}@${client.address}`;
  return near ? undefined : client.address;
}

export const prettyDropped = (lines: number, paint: Paint): string => paint('yellow', `* ${missingLines(lines)}`);
