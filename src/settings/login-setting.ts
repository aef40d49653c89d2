import * as z from 'zod';
import { AUTH_SCHEMES, type AuthSchemeName, type LoginTerms } from '../contracts/login-terms.ts';
import type { OneOrList } from './list-setting.ts';

/** How we authenticate at a proxy, as a configuration file or a program writes it. */
export interface LoginTermsInput {
  readonly scheme?: OneOrList<AuthSchemeName> | undefined;
  readonly preemptive?: boolean | undefined;
  readonly latch?: boolean | undefined;
}

export const schemeList = z
  .array(z.enum(AUTH_SCHEMES))
  .min(1, 'is empty: nothing could be offered; leave it out')
  .refine((schemes) => new Set(schemes).size === schemes.length, 'names a scheme twice; keep one');

/** `{ scheme: basic, preemptive: true, latch: false }`, for `upstreams[].auth` and for what a `route` hook returns. */
export const loginTerms = z
  .strictObject({
    scheme: z
      .union([schemeList, z.enum(AUTH_SCHEMES).transform((one) => [one])])
      .optional()
      .describe(
        'Schemes by which this proxy may authenticate there, in the order in which they are tried. Default: all.',
      ),
    preemptive: z
      .boolean()
      .optional()
      .describe(
        'Sends Basic with the first request, before the proxy has asked: for proxies that read parameters from the user name. Default: only for a login in the URL of a proxy on `https:` or on this machine (`localhost`, `127.0.0.0/8`, `::1`).',
      ),
    latch: z
      .boolean()
      .optional()
      .describe(
        '`false`: a rejected password is sent again with the next request, and any number of requests try it at once, where no account can be locked. Default: `true`, it is kept back.',
      ),
  })
  .refine(
    ({ scheme, preemptive }) => preemptive !== true || scheme === undefined || scheme.includes('basic'),
    'is preemptive without basic; add basic to scheme',
  )
  .transform(({ scheme, preemptive, latch }): LoginTerms => ({ schemes: scheme, preemptive, latch }));
