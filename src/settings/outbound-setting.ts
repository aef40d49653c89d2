import { isIP } from 'node:net';
import * as z from 'zod';
import type { OutboundTerms } from '../contracts/outbound.ts';
import { duration } from './duration-setting.ts';
import type { OneOrList } from './list-setting.ts';

/** How connections of a route are opened and kept, as a configuration file or a program writes it. */
export interface OutboundInput {
  /** Local addresses, or names of interfaces, that connections come from in turns. */
  readonly from?: OneOrList<string> | undefined;
  readonly family?: 4 | 6 | undefined;
  readonly timeouts?:
    | { readonly connect?: string | number | undefined; readonly idle?: string | number | undefined }
    | undefined;
}

/** Linux allows 15 bytes; elsewhere names are longer, and those of Windows hold spaces. */
const INTERFACE = /^[^\s/:][^/:]{0,63}$/;
const local = z
  .string()
  .refine((text) => isIP(text) !== 0 || INTERFACE.test(text), 'is neither an IP address nor the name of an interface');

/** `from`, `family` and `timeouts`, for `routes.rules` and for what a `route` hook returns. */
export const outboundShape = {
  from: z
    .union([
      local.transform((one) => [one]),
      z.array(local).min(1, 'is empty; leave it out to let the system choose').readonly(),
    ])
    .optional()
    .describe(
      'Addresses of this machine, or names of its interfaces, that connections of these routes come from, in turns. Default: the system chooses.',
    ),
  family: z
    .union([z.literal(4), z.literal(6)])
    .optional()
    .describe('`4` or `6`: only IPv4 or only IPv6 addresses are dialled. Default: both.'),
  timeouts: z
    .strictObject({
      connect: duration('above-0').optional().describe('As `timeouts.connect`, for these routes.'),
      idle: duration('may-be-0').optional().describe('As `timeouts.idle`, for tunnels of these routes.'),
    })
    .optional(),
} as const;

type Outbound = z.output<z.ZodObject<typeof outboundShape>>;

/** `undefined` where nothing differs from the configuration. */
export function outboundTerms({ from, family, timeouts }: Outbound): OutboundTerms | undefined {
  if (from === undefined && family === undefined && timeouts === undefined) return undefined;
  return { from, family, connectMs: timeouts?.connect, idleMs: timeouts?.idle };
}
