import { createHash } from 'node:crypto';
import type { Secret } from '../core/secret.ts';

/** Names of RFC 7616 §6.1, and what node:crypto calls the hash. */
const HASHES = { MD5: 'md5', 'SHA-256': 'sha256', 'SHA-512-256': 'sha512-256' } as const;
export type DigestHash = keyof typeof HASHES;

/** `…-sess` makes a key of its own from nonce and cnonce (RFC 7616 §3.4.2). */
export interface DigestAlgorithm {
  readonly hash: DigestHash;
  readonly session: 'session' | 'plain';
}

/** `none`: as before RFC 2617, without nc and cnonce. `auth-int` covers the body too. */
export type DigestQop = 'none' | 'auth' | 'auth-int';

export interface DigestAccount {
  readonly user: string;
  readonly password: Secret;
}

/** What one response is made from. Strings from the wire have one character for each octet. */
export interface DigestInput {
  readonly algorithm: DigestAlgorithm;
  readonly qop: DigestQop;
  readonly realm: string;
  readonly nonce: string;
  /** Eight hexadecimal digits: how often this nonce has been used. */
  readonly nc: string;
  readonly cnonce: string;
  readonly method: string;
  /** The request-target as it is sent: `host:port` of a CONNECT, the whole URL of a request to a proxy. */
  readonly uri: string;
  /** For `auth-int`. */
  readonly body: Uint8Array;
}

/** `response` of RFC 7616 §3.4.1, in lower-case hexadecimal digits. */
export function digestResponse(input: DigestInput, account: DigestAccount): string {
  return proof(input, account, input.method);
}

/** What the proxy shows to prove that it knows the password too: the same without a method (RFC 7616 §3.5). */
export function digestRspauth(input: DigestInput, account: DigestAccount): string {
  return proof(input, account, '');
}

/** The name that hides the user (RFC 7616 §3.4.4). */
export function digestUserHash(hash: DigestHash, user: string, realm: string): string {
  return hashed(hash, `${octets(user)}:${realm}`);
}

/**
 * As octets in UTF-8, one character each. RFC 7616 §4 asks for UTF-8 in normal form C when the challenge says so; when
 * it says nothing, the password file of nearly every proxy is UTF-8 too.
 */
export function octets(text: string): string {
  return Buffer.from(text.normalize('NFC')).toString('latin1');
}

function proof(input: DigestInput, { user, password }: DigestAccount, method: string): string {
  const { hash, session } = input.algorithm;
  const account = hashed(hash, `${octets(user)}:${input.realm}:${octets(password.reveal())}`);
  // The RFC keeps the key of the first nonce and cnonce; servers make it anew from what the request says. Whoever keeps
  // one cnonce for as long as a nonce lives agrees with both.
  const key = session === 'session' ? hashed(hash, `${account}:${input.nonce}:${input.cnonce}`) : account;
  const asked = `${method}:${input.uri}${input.qop === 'auth-int' ? `:${hashed(hash, input.body)}` : ''}`;
  const use = input.qop === 'none' ? '' : `${input.nc}:${input.cnonce}:${input.qop}:`;
  return hashed(hash, `${key}:${input.nonce}:${use}${hashed(hash, asked)}`);
}

function hashed(hash: DigestHash, content: string | Uint8Array): string {
  return createHash(HASHES[hash])
    .update(typeof content === 'string' ? Buffer.from(content, 'latin1') : content)
    .digest('hex');
}
