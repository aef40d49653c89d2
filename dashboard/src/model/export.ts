import type { Row } from '../api/shape.ts';

const FIELDS = [
  'id',
  'kind',
  'state',
  'method',
  'target',
  'url',
  'client',
  'clientPort',
  'clientName',
  'user',
  'listener',
  'protocol',
  'tls',
  'route',
  'address',
  'rule',
  'limits',
  'heldBy',
  'startedAt',
  'ageMs',
  'bytesUp',
  'bytesDown',
  'rateUp',
  'rateDown',
  'status',
  'failure',
  'detail',
  'end',
] as const satisfies readonly (keyof Row)[];

export function csvOf(rows: readonly Row[]): string {
  const lines = rows.map((row) => FIELDS.map((field) => csvField(row[field])).join(','));
  return `${[FIELDS.join(','), ...lines].join('\r\n')}\r\n`;
}

/** RFC 4180 §2. A name that a client chose must not become a formula in a spreadsheet. */
function csvField(value: unknown): string {
  if (value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const text = Array.isArray(value) ? value.join(' ') : String(value);
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export const jsonOf = (rows: readonly Row[]): string => `${JSON.stringify(rows, null, 2)}\n`;
