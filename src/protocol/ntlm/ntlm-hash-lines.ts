import { Secret } from '../../contracts/secret.ts';
import { type NtlmIdentity, ntHash, ntlmUpperCase, ntlmv2Hash } from './ntlm-hash.ts';

export interface HashAccount {
  readonly user: string;
  readonly domain: string;
  readonly password: Secret;
}

/** The two lines of `-H`, exactly as Alpaca prints them: a comment, and a line for a POSIX shell. */
export function alpacaLines({ user, domain, password }: HashAccount): readonly [comment: string, line: string] {
  const value = `${user}@${domain}:${ntHash(password).toString('hex')}`;
  return [
    '# Add this to your ~/.profile (or equivalent) and restart your shell',
    `NTLM_CREDENTIALS="${value.replace(/["\\$`]/g, '\\$&')}"; export NTLM_CREDENTIALS`,
  ];
}

/**
 * The lines of `cntlm -H` for a configuration file, without PassLM, which is easily broken. cntlm sends and hashes the
 * domain in upper case, so PassNTLMv2 is for the domain in upper case.
 */
export function cntlmLines({ user, domain, password }: HashAccount): readonly string[] {
  const capital = ntlmUpperCase(domain);
  const ntlmv2 = ntlmv2Hash({ user, domain: capital, key: { kind: 'password', secret: password } });
  return [
    `PassNT          ${capitalHex(ntHash(password))}`,
    `PassNTLMv2      ${capitalHex(ntlmv2)}    # Only for user '${user}', domain '${domain}'`,
  ];
}

const capitalHex = (bytes: Buffer): string => bytes.toString('hex').toUpperCase();

/** The value of `NTLM_CREDENTIALS`, `user@DOMAIN:hash`; `undefined`: it is not valid. */
export function readNtlmCredentials(value: Secret): NtlmIdentity | undefined {
  // Matched from the end: a user name may contain @, a NetBIOS or DNS domain neither @ nor colon.
  const [, user, domain, hash] = /^(.+)@([^@:]*):([0-9a-f]{32})$/is.exec(value.reveal().trim()) ?? [];
  if (user === undefined || domain === undefined || hash === undefined) return undefined;
  return { user, domain, key: { kind: 'nt-hash', secret: new Secret(hash.toLowerCase()) } };
}
