import * as z from 'zod';
import { duration } from '../settings/duration-setting.ts';

export const RELAY_KINDS = ['auto', 'native', 'portable'] as const;
export type RelayKind = (typeof RELAY_KINDS)[number];

export const relayKind: z.ZodDefault<z.ZodEnum<{ [Kind in RelayKind]: Kind }>> = z
  .enum(RELAY_KINDS)
  .default('auto')
  .describe(
    'Who holds plain TCP sockets and moves the bytes of tunnels: `native` is faster, on Linux where it is built, and does not start without it; `portable` is TypeScript; `auto` is native where it can be. Tunnels with TLS or under a limit are always moved by TypeScript.',
  );

const BODY_MS = 300_000;

export const relayTimeouts = {
  idle: duration('may-be-0')
    .prefault('1h')
    .describe(
      'A tunnel without a byte either way for this long is closed, and a response of no declared length that stands still; 0: never.',
    ),
  body: duration('may-be-0')
    .prefault('5m')
    .describe(
      'How long an origin may be silent in the middle of a response of known length before the response is cut; 0: for ever. As long as `idle` where only that is set, and shorter. A client that reads nothing meanwhile has `idle`.',
    ),
  linger: duration('may-be-0')
    .prefault('30s')
    .describe('After one side of a tunnel has ended: how long the other may be silent before both are closed.'),
} as const satisfies Record<string, z.ZodType<number, string | number | undefined>>;

/** A configuration that only shortens `idle` means responses of known length too, as before there was `body`. */
export const bodyMsOf = ({ body, idle }: { readonly body: number; readonly idle: number }): number =>
  body === BODY_MS && idle > 0 ? Math.min(body, idle) : body;
