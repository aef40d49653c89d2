import type { ProxyRecord } from '../core/record.ts';
import { formatAuthority } from '../protocol/authority.ts';
import { printable, publicUrl } from './escape.ts';
import { routeText } from './format-json.ts';
import { bytesText, durationText, rateText } from './units.ts';

/** How a line is painted: with colours on a terminal, not at all elsewhere. */
export type Paint = (style: 'dim' | 'bold' | 'red' | 'green' | 'yellow' | 'cyan', text: string) => string;

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
export const plain: Paint = (_style, text) => text;
export const colourful: Paint = (style, text) => `\x1b[${CODES[style]}m${text}\x1b[0m`;

const two = (n: number): string => String(n).padStart(2, '0');
const localTime = (at: Date): string => `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;

/** Local time of the end, method, target, status, bytes up and down, duration, rate; then whatever was unusual. */
export function prettyRecord(record: ProxyRecord, paint: Paint): string {
  const ended = new Date(record.startedAt.getTime() + record.durationMs);
  const target = record.url === undefined ? record.target && formatAuthority(record.target) : publicUrl(record.url);
  const bytes = record.bytesUp + record.bytesDown;
  return [
    paint('dim', localTime(ended)),
    printable(record.method || '-').padEnd(7),
    paint('bold', printable(target ?? '-').padEnd(36)),
    paintStatus(record, paint),
    `↑ ${bytesText(record.bytesUp).padStart(7)}`,
    `↓ ${bytesText(record.bytesDown).padStart(7)}`,
    durationText(record.durationMs).padStart(9),
    rateText(bytes, record.stageMs.relay ?? record.durationMs).padStart(10),
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
  const said: string[] = [];
  if (record.failure !== undefined) {
    const why = record.detail ?? (record.rule === undefined ? undefined : `rule ${record.rule}`);
    said.push(paint('red', `${record.failure}${why === undefined ? '' : `: ${printable(why)}`}`));
  }
  if (record.wouldDeny !== undefined) said.push(paint('yellow', `rule ${printable(record.wouldDeny)} would deny`));
  if (record.wouldAllow !== undefined) said.push(paint('yellow', `rule ${printable(record.wouldAllow)} would allow`));
  if (record.end !== undefined && record.end !== 'client' && record.end !== 'upstream') {
    said.push(paint('yellow', ENDS[record.end]));
  }
  if (record.route?.via === 'proxies') said.push(paint('cyan', `via ${printable(routeText(record.route))}`));
  const who = clientText(record);
  if (who !== undefined) said.push(paint('dim', printable(who)));
  return said;
}

const ENDS = {
  idle: 'closed: idle',
  limit: 'cut: a limit is used up',
  aborted: 'cut by the proxy',
  error: 'cut: connection error',
} as const;

/** Who it was, where that says anything: not for a nameless client on this very machine. */
function clientText({ principal, client }: ProxyRecord): string | undefined {
  const near = client.address === '' || client.address === '::1' || /^(::ffff:)?127\./.test(client.address);
  if (principal) return near ? principal : `${principal}@${client.address}`;
  return near ? undefined : client.address;
}

export const prettyDropped = (lines: number, paint: Paint): string =>
  paint('yellow', `* ${lines} lines are missing here: the log was too slow`);
