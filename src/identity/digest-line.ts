import { timingSafeEqual } from 'node:crypto';
import { Secret } from '../contracts/secret.ts';
import { digestKey } from '../protocol/http-auth/digest-response.ts';
import { type ClientDigestHash, DIGEST_HASHES } from './digest-keys.ts';
import { isPasswordTooLong } from './lengths.ts';
import type { PasswordHash } from './password-hash.ts';

/** `REALM:HASH` behind the user's name, as htdigest writes it (MD5) and `viaduct hash --realm` (also SHA-256). */
const LINE = /^([^:"\\\x00-\x1f\x7f]{1,128}):(?:([0-9a-f]{32})|([0-9a-f]{64}))$/i;

const REALM = /^[^:"\\\x00-\x1f\x7f]{1,128}$/;
export const isDigestRealm = (text: string): boolean => REALM.test(text);

/** The lines of `clients.users` that `parseDigestLine` reads, for clients of both hashes. */
export const digestLines = (account: {
  readonly user: string;
  readonly realm: string;
  readonly password: string;
}): readonly string[] => DIGEST_HASHES.map((hash) => `${account.user}:${account.realm}:${digestKey(hash, account)}`);

/** `undefined`: it is another kind of hash. */
export function parseDigestLine(user: string, text: string): PasswordHash | undefined {
  const [, realm, md5, sha256] = LINE.exec(text) ?? [];
  const hex = (md5 ?? sha256)?.toLowerCase();
  if (realm === undefined || hex === undefined) return undefined;
  const hash: ClientDigestHash = md5 === undefined ? 'SHA-256' : 'MD5';
  const expected = Buffer.from(hex, 'hex');
  return {
    text,
    costUs: 1,
    digest: { realm, keys: new Map([[hash, new Secret(hex)]]) },
    // The same line serves Basic and SOCKS too: they carry the password itself.
    async verify(password) {
      if (isPasswordTooLong(password)) return false;
      return timingSafeEqual(Buffer.from(digestKey(hash, { user, realm, password }), 'hex'), expected);
    },
  };
}

/**
 * Several lines of one user: one hash for passwords, and a line for each hash of Digest. `undefined`: two are for the same
 * thing. Throws an Error with a clause where they are for two realms.
 */
export function joinHashes(one: PasswordHash, other: PasswordHash): PasswordHash | undefined {
  const keys = [...(one.digest?.keys ?? []), ...(other.digest?.keys ?? [])];
  const isTwice = new Set(keys.map(([hash]) => hash)).size < keys.length;
  const [digest, password] = one.digest === undefined ? [other, one] : [one, other];
  if (isTwice || digest.digest === undefined) return undefined;
  if (password.digest !== undefined && password.digest.realm !== digest.digest.realm)
    throw new Error('has Digest hashes for two realms; make all for one');
  // Of two Digest lines both hold the same password: either may be compared with it.
  return { ...password, text: `${one.text}\n${other.text}`, digest: { ...digest.digest, keys: new Map(keys) } };
}
