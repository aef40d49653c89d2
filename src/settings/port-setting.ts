import * as z from 'zod';

/** Only the `options.ts` of modules import this, as with `duration-setting.ts`. */

const PORT_MAX = 65_535;

/** `443`, or `8000-8999`. */
export function isPortRange(text: string): boolean {
  const [, from, to = from] = /^([1-9]\d{0,4})(?:-([1-9]\d{0,4}))?$/.exec(text) ?? [];
  return Number(from) <= Number(to) && Number(to) <= PORT_MAX;
}

/** Ports as rules name them: a number, or a range such as `"8000-8999"`. */
export const portPattern: z.ZodType<number | string, number | string> = z.union([
  z.int().min(1).max(PORT_MAX),
  z.string().refine(isPortRange, 'is not a valid port; write a number from 1 to 65535, or a range such as "8000-8999"'),
]);
