import { z } from 'zod';
import { hostPattern } from '../core/host-setting.ts';
import { duration } from '../core/setting.ts';

export const upstreamTimeouts = {
  connect: duration('above-0')
    .prefault('30s')
    .describe(
      'How long resolving the name may take, then connecting, all addresses together, and TLS with a proxy, else 504.',
    ),
  head: duration('above-0')
    .prefault('30s')
    .describe('How long an origin or a proxy may take to begin its answer after it has the request, else 504.'),
} as const satisfies Record<string, z.ZodType<number, string | number | undefined>>;

/** What is known of the upstream proxies whose host matches. */
export interface UpstreamOptions {
  readonly host: string;
  /** Path of a PEM file with certificates that are trusted besides those of this machine. */
  readonly ca?: string | undefined;
  /** The name that the proxy's certificate has, where that is not its host. */
  readonly serverName?: string | undefined;
}
export type UpstreamsOptions = readonly UpstreamOptions[];
export type UpstreamsInput = UpstreamsOptions;

/** A name to ask for by SNI (RFC 6066 §3): no address, no port. */
const SERVER_NAME = /^(?=.{1,253}$)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]*[a-z_-][a-z0-9_-]*$/i;

/** `upstreams` of the configuration. */
export const upstreamsSchema: z.ZodType<UpstreamsOptions, UpstreamsInput> = z.array(
  z.strictObject({
    host: hostPattern.describe(
      'Proxies that this is about, by host: a name, `.suffix`, a name with `*`, an address or a block. The first entry that matches holds.',
    ),
    ca: z
      .string()
      .min(1, 'write the path of a PEM file')
      .optional()
      .describe('PEM file of authorities that may certify an `https:` proxy, besides those that this machine trusts.'),
    serverName: z
      .string()
      .regex(SERVER_NAME, 'is no host name; write the name that stands in the certificate')
      .optional()
      .describe('Name in the certificate of an `https:` proxy. Default: its host.'),
  }),
);
