import * as z from 'zod';

/** How many processes serve; `auto`: as many as there are cores. */
export type WorkersOptions = number | 'auto';

/** Each takes some 50 MB, and more than one for each core gain nothing. */
const WORKERS_MAX = 128;

export const workersSchema: z.ZodType<WorkersOptions, WorkersOptions> = z
  .union([z.literal('auto'), z.int().min(1).max(WORKERS_MAX)], {
    error: `write a number from 1 to ${WORKERS_MAX}, or auto`,
  })
  .describe('Processes that serve; `auto` is one for each core. Read at the start: a reload does not change it.');
