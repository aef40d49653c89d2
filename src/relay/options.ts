import type { z } from 'zod';
import { duration } from '../core/setting.ts';

export const relayTimeouts = {
  idle: duration('may-be-0')
    .prefault('1h')
    .describe('A tunnel without a byte either way for this long is closed; 0 never closes one.'),
  linger: duration('may-be-0')
    .prefault('30s')
    .describe('After one side of a tunnel has ended: how long the other may be silent before both are closed.'),
} as const satisfies Record<string, z.ZodType<number, string | number | undefined>>;
