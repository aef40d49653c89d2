import type { z } from 'zod';
import { duration } from '../core/setting.ts';

export const upstreamTimeouts = {
  connect: duration('above-0')
    .prefault('30s')
    .describe('How long resolving the name may take, and then connecting, all addresses together, else 504.'),
  head: duration('above-0')
    .prefault('30s')
    .describe('How long an origin may take to begin its answer after it has the request, else 504.'),
} as const satisfies Record<string, z.ZodType<number, string | number | undefined>>;
