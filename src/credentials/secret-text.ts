import type { CredentialSecret } from '../core/contracts.ts';
import { Secret } from '../core/secret.ts';
import { readNtlmCredentials } from '../protocol/ntlm-hash-lines.ts';

/** A line of `cntlm.conf`, as `cntlm -H` and `viaduct hash` print it. */
const CNTLM_LINE = /^[ \t]*(PassNT|PassNTLMv2)[ \t]+([0-9a-f]{32})(?:[ \t]*#.*)?[ \t]*$/im;
/** The line that Alpaca's `-H` and `viaduct hash` print. */
const ALPACA_LINE = /^[ \t]*(?:export[ \t]+)?NTLM_CREDENTIALS="([^"\n]*)"/m;

/**
 * The secret in a text that somebody keeps: what `viaduct hash` prints, else a password in one line. `undefined`: the
 * text is empty or has more lines, and guessing which one is meant would send a wrong password.
 */
export function secretIn(text: string): CredentialSecret | undefined {
  const [, key, hex] = CNTLM_LINE.exec(text) ?? [];
  if (key !== undefined && hex !== undefined) {
    return { kind: key.toLowerCase() === 'passnt' ? 'nt-hash' : 'ntlmv2-hash', hash: new Secret(hex.toLowerCase()) };
  }
  const quoted = ALPACA_LINE.exec(text)?.[1]?.replace(/\\(["\\$`])/g, '$1');
  const alpaca = quoted === undefined ? undefined : readNtlmCredentials(new Secret(quoted));
  if (alpaca !== undefined) return { kind: 'nt-hash', hash: alpaca.key.secret };
  const password = text.replace(/\r?\n$/, '');
  return password === '' || /[\r\n\0]/.test(password)
    ? undefined
    : { kind: 'password', password: new Secret(password) };
}
