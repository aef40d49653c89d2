import type { Account } from '../contracts/account.ts';
import { Secret } from '../contracts/secret.ts';
import type { CredentialSecret } from '../contracts/upstream-account.ts';
import { readNtlmCredentials } from '../protocol/ntlm/ntlm-hash-lines.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** An account and its secret, as one variable holds them. */
interface AccountWithSecret {
  readonly account: Account;
  readonly secret: CredentialSecret;
}

/** `NTLM_CREDENTIALS=user@DOMAIN:hash`, as Alpaca reads it. `undefined`: not set, or not of that form. */
export function ntlmCredentials({ NTLM_CREDENTIALS: text }: Environment): AccountWithSecret | undefined {
  const read = text ? readNtlmCredentials(new Secret(text)) : undefined;
  if (read === undefined) return undefined;
  const { user, domain, key } = read;
  return { account: { user, domain: domain || undefined }, secret: { kind: 'nt-hash', hash: key.secret } };
}

/** `BASIC_CREDENTIALS=login:password`, as Alpaca reads it: for Basic alone. */
export function basicCredentials({ BASIC_CREDENTIALS: text }: Environment): AccountWithSecret | undefined {
  const [, user, password] = /^([^:]+):(.*)$/s.exec(text ?? '') ?? [];
  if (user === undefined || password === undefined) return undefined;
  return { account: { user, domain: undefined }, secret: { kind: 'password', password: new Secret(password) } };
}

/** `NTLM_USERNAME` and `NTLM_DOMAIN`: the account whose password Alpaca looks for in the keyring. */
export function ntlmAccount({ NTLM_USERNAME: user, NTLM_DOMAIN: domain }: Environment): Account | undefined {
  return user && !user.includes(':') ? { user, domain: domain || undefined } : undefined;
}

/** `ALPACA_PROXY_AUTH_ALLOWLIST`: suffixes with commas between; `undefined` where it is not set. */
export function alpacaAllowlist({ ALPACA_PROXY_AUTH_ALLOWLIST: text }: Environment): readonly string[] | undefined {
  const entries = (text ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  return entries.length === 0 ? undefined : entries;
}

/** Variables that are set and have no effect, one line each; their values are not repeated. */
export function suspiciousCredentials(environment: Environment): string[] {
  const { NTLM_CREDENTIALS: ntlm, BASIC_CREDENTIALS: basic, NTLM_USERNAME: user } = environment;
  return [
    ...(user && ntlmAccount(environment) === undefined
      ? ['NTLM_USERNAME is ignored: a user name has no colon; write the name alone']
      : []),
    ...(ntlm && ntlmCredentials(environment) === undefined
      ? ['NTLM_CREDENTIALS is ignored: it is not user@DOMAIN:hash; viaduct hash prints it']
      : []),
    ...(basic && basicCredentials(environment) === undefined
      ? ['BASIC_CREDENTIALS is ignored: it is not login:password']
      : []),
  ];
}
