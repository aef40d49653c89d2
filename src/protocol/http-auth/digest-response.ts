import { createHash } from 'node:crypto';
import type { Secret } from '../../contracts/secret.ts';

/** Names of RFC 7616 §6.1, and the names of node:crypto. */
const HASHES = { MD5: 'md5', 'SHA-256': 'sha256', 'SHA-512-256': 'sha512-256' } as const;
export type DigestHash = keyof typeof HASHES;

/** `…-sess` derives a session key from nonce and cnonce (RFC 7616 §3.4.2). */
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

/** The inputs of one response. Strings from the wire have one character for each octet. */
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

/** `rspauth`, with which the proxy proves that it knows the password: the same without a method (RFC 7616 §3.5). */
export function digestRspauth(input: DigestInput, account: DigestAccount): string {
  return proof(input, account, '');
}

/** The name that hides the user (RFC 7616 §3.4.4). */
export function digestUserHash(hash: DigestHash, user: string, realm: string): string {
  return hashed(hash, `${octets(user)}:${realm}`);
}

/**
 * The octets in UTF-8, one character each. RFC 7616 §4 requires UTF-8 in normal form C when the challenge has
 * `charset`; without it the password file of nearly every proxy is in UTF-8 too.
 */
export function octets(text: string): string {
  return Buffer.from(text.normalize('NFC')).toString('latin1');
}

/** What stands for a password (HA1 of RFC 7616 §3.4.2), in lower-case hexadecimal digits. */
export const digestKey = (
  hash: DigestHash,
  { user, realm, password }: { readonly user: string; readonly realm: string; readonly password: string },
): string => hashed(hash, `${octets(user)}:${realm}:${octets(password)}`);

/** What a server compares `response` with, by the key of the user; `qop=auth`. */
export function responseOfKey(
  hash: DigestHash,
  key: string,
  { nonce, nc, cnonce, uri, method }: Pick<DigestInput, 'nonce' | 'nc' | 'cnonce' | 'uri' | 'method'>,
): string {
  return hashed(hash, `${key}:${nonce}:${nc}:${cnonce}:auth:${hashed(hash, `${method}:${uri}`)}`);
}

function proof(input: DigestInput, { user, password }: DigestAccount, method: string): string {
  const { hash, session } = input.algorithm;
  const account = digestKey(hash, { user, realm: input.realm, password: password.reveal() });
  // The RFC keeps the key of the first nonce and cnonce; servers derive it from those of each request. With one cnonce
  // for the lifetime of a nonce both are the same.
  const key = session === 'session' ? hashed(hash, `${account}:${input.nonce}:${input.cnonce}`) : account;
  const request = `${method}:${input.uri}${input.qop === 'auth-int' ? `:${hashed(hash, input.body)}` : ''}`;
  const use = input.qop === 'none' ? '' : `${input.nc}:${input.cnonce}:${input.qop}:`;
  return hashed(hash, `${key}:${input.nonce}:${use}${hashed(hash, request)}`);
}

function hashed(hash: DigestHash, content: string | Uint8Array): string {
  return createHash(HASHES[hash])
    .update(typeof content === 'string' ? Buffer.from(content, 'latin1') : content)
    .digest('hex');
}
