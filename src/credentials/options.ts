import * as z from 'zod';
import { hostPattern } from '../settings/host-setting.ts';
import type { OneOrList } from '../settings/list-setting.ts';

/** Where the secret of an account comes from. */
export type SecretOrigin =
  | { readonly kind: 'keyring' }
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'prompt' };

/** An account at upstream proxies, without its secret. */
export interface AccountOptions {
  /** Absent: the login name of the user who runs the proxy. */
  readonly user?: string | undefined;
  readonly domain?: string | undefined;
  /** Absent: looked for in the environment and in the keyring, and asked for at start where there is none. */
  readonly from?: SecretOrigin | undefined;
}
export interface CredentialsOptions {
  /** Accounts by name. `default` is the one of proxies that no entry of `upstreams` gives another. */
  readonly accounts: Readonly<Record<string, AccountOptions>>;
  /** Patterns of settings/host-setting.ts; a plain name means all below it, too. */
  readonly allow: readonly string[];
  /** Whether Negotiate may be offered. */
  readonly kerberos: boolean;
}

export interface AccountInput {
  readonly user?: string | undefined;
  readonly domain?: string | undefined;
  readonly from?: string | undefined;
}
export interface CredentialsInput {
  readonly allow?: OneOrList<string> | undefined;
  readonly kerberos?: boolean | undefined;
  readonly [account: string]: AccountInput | OneOrList<string> | boolean | undefined;
}

/** Name of the account of proxies that no entry of `upstreams` gives another: `-u` and `-d` write it. */
export const DEFAULT_ACCOUNT = 'default';

const FROM = /^(?:(keyring|prompt)|env:([A-Za-z_]\w*)|file:(.+))$/s;

/** The message repeats nothing: a password that was written here must not reach a terminal or a log. */
const from = z
  .string({ error: 'is where the secret comes from; write keyring, env:NAME, file:PATH or prompt' })
  .regex(FROM, 'is where the secret comes from, and never the secret; write keyring, env:NAME, file:PATH or prompt')
  .transform((text): SecretOrigin => {
    const [, word, name, path] = FROM.exec(text) ?? [];
    if (name !== undefined) return { kind: 'env', name };
    if (path !== undefined) return { kind: 'file', path };
    return { kind: word === 'prompt' ? 'prompt' : 'keyring' };
  });

/** A control character could end a header field or a line of a log. */
const name = (what: string) =>
  z
    .string({ error: `is not a valid ${what}; write it as text` })
    .regex(/^[^\p{Cc}]+$/u, `is not a valid ${what}: it is empty, or has control characters`);

const account = z.strictObject({
  user: name('user name')
    .refine((user) => !user.includes(':'), 'has a colon, which no user name has; a password is not written here')
    .optional()
    .describe('User name; `DOMAIN\\user` is taken apart. Default: the login name of the user who runs the proxy.'),
  domain: name('domain')
    .refine((domain) => !domain.includes(':'), 'has a colon, which no domain has')
    .optional()
    .describe('Windows domain of the user, for NTLM.'),
  from: from
    .optional()
    .describe(
      'Where the secret comes from: `keyring`, `env:NAME`, `file:PATH` (mode 0600) or `prompt` (asked for once, at start). Default: what the environment or the keyring has, else `prompt`.',
    ),
});

/** `credentials` of the configuration. */
export const credentialsSchema: z.ZodType<CredentialsOptions, CredentialsInput> = z
  .object({
    allow: z
      .union([z.array(hostPattern), hostPattern.transform((one) => [one])])
      .prefault([])
      .describe(
        'Upstream proxies that may get credentials, besides those that the configuration or a PAC from a file or from `https:` names: DNS suffixes, addresses or blocks. Needed where the PAC comes from plain `http:` or from WPAD.',
      ),
    kerberos: z.boolean().prefault(true).describe('Whether Negotiate may be offered to upstream proxies.'),
    [DEFAULT_ACCOUNT]: account
      .optional()
      .describe(
        'The account for upstream proxies. Accounts of other names have the same settings, and `upstreams` says where they are used.',
      ),
  })
  .catchall(account)
  .transform(({ allow, kerberos, ...accounts }) => ({
    allow,
    kerberos,
    accounts: Object.fromEntries(
      Object.entries(accounts).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
    ),
  }));
