import { Secret } from '../contracts/secret.ts';
import type { CredentialSecret } from '../contracts/upstream-account.ts';
import { readNtlmCredentials } from '../protocol/ntlm/ntlm-hash-lines.ts';

/** A line of `cntlm.conf`, as `cntlm -H` and `viaduct hash` print it. */
const CNTLM_LINE = /^[ \t]*(PassNT|PassNTLMv2)[ \t]+([0-9a-f]{32})(?:[ \t]*#.*)?[ \t]*$/im;
/** The line that Alpaca's `-H` and `viaduct hash` print. */
const ALPACA_LINE = /^[ \t]*(?:export[ \t]+)?NTLM_CREDENTIALS="([^"\n]*)"/m;

/**
 * The secret in a stored text: what `viaduct hash` prints, else a password in one line. `undefined`: the text is empty or
 * has more lines, and guessing which one is meant would send a wrong password.
 */
export function parseSecret(text: string): CredentialSecret | undefined {
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

/** Why a variable of the environment holds no secret. `undefined`: it holds one. Repeats nothing of it. */
export function problemOfSecretVariable(text: string | undefined): string | undefined {
  if (text === undefined) return 'is not set; set it where viaduct is started, or write another source of the secret';
  if (text === '') return 'is empty; put the secret into it where viaduct is started';
  return parseSecret(text) === undefined ? 'holds neither one line nor what viaduct hash prints' : undefined;
}
