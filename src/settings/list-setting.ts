import * as z from 'zod';

/** Only the `options.ts` of modules import this, as with `duration-setting.ts`. */

export type OneOrList<T> = T | readonly T[];

/** A list in which most people write one value: that may stand there without a list around it. */
export const listOrOne = <T extends z.ZodType>(item: T, whenEmpty: string) =>
  z.union([z.array(item).min(1, whenEmpty), item.transform((one) => [one])]);
