import type { Secret } from '../contracts/secret.ts';

/** The hashes that clients may use: Java knows MD5 alone, and all others SHA-256 too. */
export const DIGEST_HASHES = ['SHA-256', 'MD5'] as const;
export type ClientDigestHash = (typeof DIGEST_HASHES)[number];

/** What stands for the password of a user in Digest: the hash of user, realm and password (HA1 of RFC 7616 §3.4.2). */
export interface DigestKeys {
  readonly realm: string;
  readonly keys: ReadonlyMap<ClientDigestHash, Secret>;
}
