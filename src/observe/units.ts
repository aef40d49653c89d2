export const twoDigits = (n: number): string => String(n).padStart(2, '0');

const STEPS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `0 B`, `999 B`, `1.2 KiB`, `34 MiB`: at most three digits. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let step = 0;
  while (value >= 999.5 && step < STEPS.length - 1) {
    value /= 1024;
    step += 1;
  }
  return `${step > 0 && value < 9.95 ? value.toFixed(1) : value.toFixed(0)} ${STEPS[step] ?? 'B'}`;
}

/** `0.4 ms`, `12 ms`, `1.24 s`, `3 min 20 s`, `2 h 05 min`. */
export function durationText(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  const seconds = ms / 1000;
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${twoDigits(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${twoDigits(Math.floor((whole % 3600) / 60))} min`;
}

/** `1.2 MiB/s`; a dash when too little passed, or too briefly, for a rate to mean anything. */
export function rateText(bytes: number, ms: number): string {
  return bytes > 0 && ms >= 1 ? `${bytesText((bytes * 1000) / ms)}/s` : '-';
}
