import { z } from 'zod';
import { duration } from '../core/setting.ts';

export const RELAY_KINDS = ['auto', 'native', 'portable'] as const;
export type RelayKind = (typeof RELAY_KINDS)[number];

export const relayKind: z.ZodDefault<z.ZodEnum<{ [Kind in RelayKind]: Kind }>> = z
  .enum(RELAY_KINDS)
  .default('auto')
  .describe(
    'Who holds plain TCP sockets and moves the bytes of tunnels: `native` is faster, on Linux where it is built, and does not start without it; `portable` is TypeScript; `auto` is native where it can be. Tunnels with TLS or under a limit are always moved by TypeScript.',
  );

export const relayTimeouts = {
  idle: duration('may-be-0')
    .prefault('1h')
    .describe('A tunnel without a byte either way for this long is closed; 0 never closes one.'),
  linger: duration('may-be-0')
    .prefault('30s')
    .describe('After one side of a tunnel has ended: how long the other may be silent before both are closed.'),
} as const satisfies Record<string, z.ZodType<number, string | number | undefined>>;
