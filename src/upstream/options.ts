import * as z from 'zod';
import type { AuthSchemeName, LoginTerms } from '../contracts/login-terms.ts';
import { duration } from '../settings/duration-setting.ts';
import { hostPattern } from '../settings/host-setting.ts';
import { type LoginTermsInput, loginTerms, schemeList } from '../settings/login-setting.ts';

export const upstreamTimeouts = {
  connect: duration('above-0')
    .prefault('30s')
    .describe(
      'How long resolving the name may take, then connecting, all addresses together, and TLS with a proxy, else 504.',
    ),
  head: duration('above-0')
    .prefault('30s')
    .describe('How long an origin or a proxy may take to begin its response after it has the request, else 504.'),
} as const satisfies Record<string, z.ZodType<number, string | number | undefined>>;

/** What is known of the upstream proxies whose host matches. */
export interface UpstreamOptions {
  readonly host: string;
  /** Path of a PEM file with certificates that are trusted besides those of this machine. */
  readonly ca?: string | undefined;
  /** The name that the proxy's certificate has, where that is not its host. */
  readonly serverName?: string | undefined;
  /** `false`: HTTP/1.1 alone is spoken there. */
  readonly http2?: boolean | undefined;
  /** Name of the account to use there. Absent: the default one. */
  readonly credentials?: string | undefined;
  /** How to authenticate there. Absent: when the proxy asks, by the strongest scheme. */
  readonly auth?: LoginTerms | undefined;
}
export type UpstreamsOptions = readonly UpstreamOptions[];

/** As it is written in a configuration. */
export interface UpstreamInput extends Omit<UpstreamOptions, 'auth'> {
  readonly auth?: readonly AuthSchemeName[] | LoginTermsInput | undefined;
}
export type UpstreamsInput = readonly UpstreamInput[];

/** A name to ask for by SNI (RFC 6066 §3): no address, no port. */
const SERVER_NAME = /^(?=.{1,253}$)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]*[a-z_-][a-z0-9_-]*$/i;

/** `upstreams` of the configuration. */
export const upstreamsSchema: z.ZodType<UpstreamsOptions, UpstreamsInput> = z.array(
  z.strictObject({
    host: hostPattern.describe(
      'Proxies and PAC servers that this is about, by host: a name, `.suffix`, a name with `*`, an address or a block. The first entry that matches holds.',
    ),
    ca: z
      .string()
      .min(1, 'write the path of a PEM file')
      .optional()
      .describe(
        'PEM file of authorities that may certify an `https:` proxy, or the server of an `https:` PAC, besides those that this machine trusts.',
      ),
    serverName: z
      .string()
      .regex(SERVER_NAME, 'is not a valid host name; write the name that stands in the certificate')
      .optional()
      .describe('Name in the certificate of an `https:` proxy or PAC server. Default: its host.'),
    http2: z
      .boolean()
      .optional()
      .describe(
        'Whether tunnels of one user share a connection to an `https:` proxy that speaks HTTP/2. Default: `true`. A proxy that authenticates connections (NTLM, Negotiate) always gets one for each tunnel.',
      ),
    credentials: z
      .string()
      .min(1, 'write the name of an account that stands in credentials')
      .optional()
      .describe('Name of the account in `credentials` to use there. Default: the account `default`.'),
    auth: z
      .union([schemeList.transform((schemes): LoginTerms => ({ schemes })), loginTerms])
      .optional()
      .describe(
        'Authentication schemes to use there, in the order in which they are tried: `negotiate`, `ntlm`, `digest`, `basic`. Default: all, in this order. Or a map, which also says when Basic is sent and whether a rejected password is held back.',
      ),
  }),
);
