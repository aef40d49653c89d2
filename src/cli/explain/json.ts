import type { Explanation } from './steps.ts';

/** The run as one JSON object. Milliseconds to a thousandth; control characters of terminals are escaped. */
export const json = (run: Explanation): string =>
  `${JSON.stringify(
    run,
    (_key, value: unknown) => (typeof value === 'number' ? Math.round(value * 1000) / 1000 : value),
    2,
  ).replace(/[\x7f-\x9f\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
