import { createHmac } from 'node:crypto';
import type { Secret } from '../../contracts/secret.ts';
import { md4 } from './md4.ts';

/** The account. The hash depends on the domain exactly as it is sent. */
export interface NtlmIdentity {
  readonly user: string;
  readonly domain: string;
  readonly key: NtlmKey;
}

/** Each of them is sufficient, so an attacker who finds one can log on as with the password. */
export type NtlmKey =
  | { readonly kind: 'password'; readonly secret: Secret }
  /** 32 hexadecimal digits: Alpaca's hash, cntlm's PassNT. */
  | { readonly kind: 'nt-hash'; readonly secret: Secret }
  /** 32 hexadecimal digits, for this user and this domain only: cntlm's PassNTLMv2. */
  | { readonly kind: 'ntlmv2-hash'; readonly secret: Secret };

/** NTOWFv1 (MS-NLMP §3.3.1): a domain controller stores it instead of the password. */
export function ntHash(password: Secret): Buffer {
  return md4(Buffer.from(password.reveal(), 'utf16le'));
}

/** NTOWFv2 (MS-NLMP §3.3.2): the user name in upper case, the domain unchanged. */
export function ntlmv2Hash({ user, domain, key }: NtlmIdentity): Buffer {
  if (key.kind === 'ntlmv2-hash') return Buffer.from(key.secret.reveal(), 'hex');
  const hash = key.kind === 'password' ? ntHash(key.secret) : Buffer.from(key.secret.reveal(), 'hex');
  return hmacMd5(hash, Buffer.from(ntlmUpperCase(user) + domain, 'utf16le'));
}

export function hmacMd5(key: Uint8Array, ...content: readonly Uint8Array[]): Buffer {
  const hmac = createHmac('md5', key);
  for (const part of content) hmac.update(part);
  return hmac.digest();
}

/**
 * Upper case as in Windows (RtlUpcaseUnicodeChar): each UTF-16 unit by itself, one for one, in every locale. So ß and
 * letters beyond the BMP stay unchanged, and so do letters that are not the lower case of their own upper case (ı, ſ, µ),
 * except ς. Georgian and Cherokee got their pairs after Windows' table was made.
 */
export function ntlmUpperCase(text: string): string {
  return text.replace(/[^\x00-\x60\ud800-\udfff]/g, (small) => {
    const capital = small.toUpperCase();
    const isPair = capital.length === 1 && (capital.toLowerCase() === small || small === 'ς');
    return isPair && !/[\u10d0-\u10ff\u13f8-\u13fd\uab70-\uabbf]/.test(small) ? capital : small;
  });
}

/** Splits `DOMAIN\user` and `user@domain`; a domain given separately takes precedence over the one in the name. */
export function splitAccount(account: string, domain?: string): { readonly user: string; readonly domain: string } {
  const parts = /^([^\\]*)\\(.*)$/s.exec(account);
  if (parts) return { domain: domain || (parts[1] ?? ''), user: parts[2] ?? '' };
  // With a separate domain `me@corp.example` may be the whole name of the user (a UPN).
  const at = domain ? -1 : account.lastIndexOf('@');
  return at < 0
    ? { domain: domain ?? '', user: account }
    : { domain: account.slice(at + 1), user: account.slice(0, at) };
}
