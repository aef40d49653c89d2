const STEPS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `1.4 MiB`: three digits at most, so that columns stay narrow. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let step = 0;
  while (value >= 999.5 && step < STEPS.length - 1) {
    value /= 1024;
    step += 1;
  }
  return `${step === 0 ? Math.round(value) : threeDigits(value)} ${STEPS[step]}`;
}

export const rateText = (bytesPerSecond: number): string => `${bytesText(bytesPerSecond)}/s`;

const threeDigits = (value: number): string => (value < 10 ? value.toFixed(2) : value.toFixed(value < 99.95 ? 1 : 0));

export const countText = (count: number): string => Math.round(count).toLocaleString('en');

/** `850 ms`, `12 s`, `4:05`, `3 h 12 min`, `2 d 4 h`. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${String(seconds % 60).padStart(2, '0')}`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `3 s ago`; `in 4:05` for what is to come. */
export function sinceText(iso: string, nowMs: number): string {
  const ms = nowMs - Date.parse(iso);
  if (Number.isNaN(ms)) return iso;
  return ms >= 0 ? `${durationText(Math.max(ms, 1_000))} ago` : `in ${durationText(-ms)}`;
}

export const clockText = (iso: string): string => {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? iso : time.toLocaleTimeString('en-GB');
};

const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1_000,
  kb: 1_000,
  kib: 1_024,
  m: 1_000_000,
  mb: 1_000_000,
  mib: 1_024 ** 2,
  g: 1_000_000_000,
  gb: 1_000_000_000,
  gib: 1_024 ** 3,
  kbit: 125,
  mbit: 125_000,
  gbit: 125_000_000,
};

/** Bytes a second of `524288`, `512KiB`, `4 Mbit`, `2MiB/s`; `undefined` where it is no rate. */
export function parseRate(text: string | number): number | undefined {
  if (typeof text === 'number') return text;
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)(?:\/s)?\s*$/i.exec(text);
  const factor = FACTORS[(match?.[2] ?? '').toLowerCase()];
  return match === null || factor === undefined ? undefined : Number(match[1]) * factor;
}
