import { z } from 'zod';
import { AUTH_SCHEMES, type AuthSchemeName } from '../core/contracts.ts';
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
  /** Name of the account that we have there. Absent: the default one. */
  readonly credentials?: string | undefined;
  /** Schemes by which we may say who we are, the preferred one first. Absent: all, the strongest first. */
  readonly auth?: readonly AuthSchemeName[] | undefined;
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
    credentials: z
      .string()
      .min(1, 'write the name of an account that stands in credentials')
      .optional()
      .describe('Name of an account in `credentials`: who we are there. Default: the account `default`.'),
    auth: z
      .array(z.enum(AUTH_SCHEMES))
      .min(1, 'is empty: nothing could be offered; leave it out')
      .refine((schemes) => new Set(schemes).size === schemes.length, 'names a scheme twice; keep one')
      .optional()
      .describe(
        'Schemes by which we may say who we are there, in the order in which they are tried: `negotiate`, `ntlm`, `digest`, `basic`. Default: all, in this order.',
      ),
  }),
);
