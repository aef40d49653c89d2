import { quoted, redact } from '../util/redact.ts';

const KI = 1024;
const POWERS: Readonly<Record<string, number>> = { '': 0, k: 1, m: 2, g: 3, t: 4, p: 5, e: 6 };
/** More than any line or disk; a larger number is a typing error, and products of it stay far from Infinity. */
const BYTES_MAX = 1e24;

/** Longest text that is looked at: the longest sensible one, `1023.999999GiB/s`, is half as long. */
const TEXT_MAX = 40;
/** What an error repeats of the text that it complains about. */
const quote = (text: string): string => quoted(text.length > TEXT_MAX ? `${redact(text).slice(0, TEXT_MAX)}…` : text);

/** A number and what stands behind it, e.g. `1.5` and `MiB`. Neither sign nor exponent: both are slips here. */
function split(text: string): { readonly amount: number; readonly unit: string } | undefined {
  if (text.length > TEXT_MAX) return undefined;
  const match = /^(\d+(?:\.\d+)?)\s*([a-z/]*)$/i.exec(text.trim());
  return match ? { amount: Number(match[1]), unit: match[2] ?? '' } : undefined;
}

/** Bytes in one `unit`, or `undefined` for an unknown one. `K`, `M`, `G` alone mean 1024 each, as curl and wget read them. */
function bytesPerUnit(unit: string): number | undefined {
  const match = /^([kmgtpe]?)(i?)(b|bytes?)?$/i.exec(unit);
  if (!match) return undefined;
  const [, prefix = '', i = '', b = ''] = match;
  if (prefix === '' && i !== '') return undefined;
  return (i !== '' || b === '' ? KI : 1000) ** (POWERS[prefix.toLowerCase()] ?? 0);
}

/** Bytes in one unit of bits: `bit`, `Mbit`, `Mibit`, `Mbps`. */
function bytesPerBitUnit(unit: string): number | undefined {
  const match = /^([kmgtpe]?)(i?)(?:bits?|bps)$/i.exec(unit);
  if (!match) return undefined;
  const [, prefix = '', i = ''] = match;
  if (prefix === '' && i !== '') return undefined;
  return (i === '' ? 1000 : KI) ** (POWERS[prefix.toLowerCase()] ?? 0) / 8;
}

/** `Mb` is a megabit to one reader and a megabyte to the next, an error of eight times. */
const AMBIGUOUS = /^[kmgtpe]b(?:\/s)?$/i;
const isAmbiguous = (unit: string): boolean => AMBIGUOUS.test(unit) && unit[1] === 'b';

function checkSize(amount: number, given: string, what: string): number {
  if (!Number.isFinite(amount) || amount < 0) throw new Error(`${given} is not ${what}`);
  if (amount > BYTES_MAX) throw new Error(`${given} is larger than any ${what.replace(/^an? /, '')}`);
  return amount;
}

/**
 * A number of bytes: `524288`, `512KiB`, `1.5MB`, `50G`. `KiB` counts 1024, `kB` 1000, a letter alone 1024.
 * Whole bytes. Throws an Error with a plain sentence.
 */
export function parseBytes(given: string | number): number {
  if (typeof given === 'number') return Math.round(checkSize(given, String(given), 'a number of bytes'));
  const parts = split(given);
  if (parts && isAmbiguous(parts.unit)) throw new Error(`${quote(given)} can mean bits or bytes: write MB or MiB`);
  const each = parts && bytesPerUnit(parts.unit);
  if (!parts || each === undefined) throw new Error(`${quote(given)} is not a size; write for example 512KiB or 50GB`);
  return Math.round(checkSize(parts.amount * each, quote(given), 'a number of bytes'));
}

/**
 * Bytes per second: `524288`, `512KiB`, `2MiB/s`, `4Mbit`, `4Mbps`; a number without a unit counts bytes.
 * More than 0: a limit of nothing would hold every connection for ever. Throws an Error with a plain sentence.
 */
export function parseRate(given: string | number): number {
  const shown = typeof given === 'number' ? String(given) : quote(given);
  const parts = typeof given === 'number' ? { amount: given, unit: '' } : split(given);
  if (parts && isAmbiguous(parts.unit)) throw new Error(`${shown} can mean bits or bytes: write Mbit or MB`);
  const unit = parts?.unit.replace(/\/s(?:ec)?$/i, '') ?? '';
  const each = bytesPerUnit(unit) ?? bytesPerBitUnit(unit);
  if (!parts || each === undefined) throw new Error(`${shown} is not a rate; write for example 512KiB or 4Mbit`);
  const rate = checkSize(parts.amount * each, shown, 'a rate');
  if (rate === 0) throw new Error('a rate of 0 would let nothing pass; leave the limit out for no limit');
  return rate;
}

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
/** A thousand years; a larger number is a typing error. */
const DURATION_MAX_MS = 1000 * 365 * 86_400_000;

/**
 * Milliseconds: `250ms`, `30s`, `5m`, `1h30m`, `30d`, `1w`; a number without a unit counts seconds. 0 is allowed.
 * Throws an Error with a plain sentence.
 */
export function parseDuration(given: string | number): number {
  const shown = typeof given === 'number' ? String(given) : quote(given);
  const text = String(given).trim();
  const ms = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) * 1000 : sumDuration(text);
  if (ms === undefined) throw new Error(`${shown} is not a duration; write for example 30s, 5m or 1h30m`);
  if (ms > DURATION_MAX_MS) throw new Error(`${shown} is longer than a thousand years`);
  return ms;
}

function sumDuration(text: string): number | undefined {
  if (text.length > TEXT_MAX || !/^(?:\d+(?:\.\d+)?(?:ms|min|[smhdw])\s*)+$/i.test(text)) return undefined;
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|min|[smhdw])/gi)) {
    ms += Number(amount) * (DURATION_UNITS[unit?.toLowerCase() ?? ''] ?? Number.NaN);
  }
  return ms;
}

/** `bytes` in the largest unit of `base` that leaves a number of at least 1. */
function scaled(bytes: number, base: number, units: readonly string[]): { amount: number; unit: string } {
  let power = 0;
  for (let rest = bytes; rest >= base && power < units.length - 1; rest /= base) power++;
  return { amount: bytes / base ** power, unit: units[power] ?? 'B' };
}

const isShort = (amount: number): boolean => Number.isInteger(amount * 10);

/** A size as a person would write it: `512KiB`, `1.5MB`, `64B`; rounded to two decimals where neither system fits. */
export function formatBytes(bytes: number | bigint): string {
  const size = Number(bytes);
  const binary = scaled(size, KI, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']);
  const decimal = scaled(size, 1000, ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB']);
  const { amount, unit } = !isShort(binary.amount) && isShort(decimal.amount) ? decimal : binary;
  return `${Number(amount.toFixed(2))}${unit}`;
}

/** A time span in its two largest units: `250ms`, `2.5s`, `1h30m`, `29d4h`. */
export function formatDuration(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  if (whole < 1000) return `${whole}ms`;
  if (whole < 10_000) return `${Number((whole / 1000).toFixed(1))}s`;
  const seconds = Math.round(whole / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join('');
}
