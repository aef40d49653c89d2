import { createHash, hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { apr1 } from './apr1.ts';
import type { DigestKeys } from './digest-keys.ts';
import { isPasswordTooLong } from './lengths.ts';

/** The hash of a password, which can be compared but not read. */
export interface PasswordHash {
  /** As configured: the same text means the same password. */
  readonly text: string;
  /** Roughly what one comparison costs, in microseconds: only the order matters. */
  readonly costUs: number;
  /** Where the user has lines for Digest. */
  readonly digest?: DigestKeys | undefined;
  /** A password that is too long is wrong, and is not hashed. */
  verify(password: string): Promise<boolean>;
}

/** A larger cost is a mistake: at 18 every attempt takes a quarter of a minute. */
const BCRYPT_COST_MAX = 17;
const BCRYPT_COST_MIN = 4;

/** Hashes as `htpasswd` writes them, and `{SSHA256}`. Throws an Error whose message names the fault and how to mend it. */
export function parsePasswordHash(text: string): PasswordHash {
  const { costUs, verify } = parseHash(text);
  return { text, costUs, verify: async (password) => !isPasswordTooLong(password) && (await verify(password)) };
}

type Comparison = Omit<PasswordHash, 'text' | 'digest'>;

function parseHash(text: string): Comparison {
  const bcrypt = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(text);
  if (bcrypt) return bcryptHash(text, Number(bcrypt[1]));
  const sha = /^\{SHA\}([A-Za-z0-9+/]{27}=)$/.exec(text)?.[1];
  if (sha !== undefined) return shaHash(sha);
  const [, salt, digest] = /^\$apr1\$([./A-Za-z0-9]{1,8})\$([./A-Za-z0-9]{22})$/.exec(text) ?? [];
  if (salt !== undefined && digest !== undefined) {
    return { costUs: 2500, verify: async (password) => same(await apr1(password, salt), digest) };
  }
  const salted = /^\{SSHA256\}([A-Za-z0-9+/]{43,}={0,2})$/.exec(text)?.[1];
  if (salted !== undefined) return saltedShaHash(Buffer.from(salted, 'base64'));
  throw new Error(complaint(text));
}

let ownSalt: Buffer | undefined;

/**
 * The hash of a configured password, as `{SSHA256}`. Salted against tables of common passwords; the salt is the same for
 * the life of this process, so that a reload does not take an unchanged password for another one.
 */
export function hashOfPlain(password: string): string {
  ownSalt ??= randomBytes(SALT_BYTES);
  return `{SSHA256}${Buffer.concat([sha256(password, ownSalt), ownSalt]).toString('base64')}`;
}
const SALT_BYTES = 16;
const SHA256_BYTES = 32;
const sha256 = (password: string, salt: Uint8Array): Buffer =>
  createHash('sha256').update(password).update(salt).digest();

function bcryptHash(text: string, cost: number): Comparison {
  if (cost < BCRYPT_COST_MIN || cost > BCRYPT_COST_MAX) {
    throw new Error(
      `has bcrypt cost ${cost}; make it with a cost from ${BCRYPT_COST_MIN} to ${BCRYPT_COST_MAX}: htpasswd -B -C 10`,
    );
  }
  return {
    costUs: 60 * 2 ** cost,
    async verify(password) {
      // Loaded on use: a native module that few configurations need.
      const { verify } = await import('@node-rs/bcrypt');
      return await verify(password, text);
    },
  };
}

const shaHash = (expected: string): Comparison => ({
  costUs: 1,
  verify: async (password) => same(hash('sha1', password, 'base64'), expected),
});

/** As OpenLDAP and Dovecot write it: the digest of password and salt, followed by the salt. */
function saltedShaHash(bytes: Buffer): Comparison {
  const expected = bytes.subarray(0, SHA256_BYTES);
  const salt = bytes.subarray(SHA256_BYTES);
  return { costUs: 1, verify: async (password) => timingSafeEqual(sha256(password, salt), expected) };
}

/** Takes a time that depends on the lengths alone, which are the same for all hashes of a kind. */
function same(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one, 'latin1'), Buffer.from(other, 'latin1')];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Never with the text itself: it may be a password. */
function complaint(text: string): string {
  const mend = 'make a new one with htpasswd -B';
  if (text === '') return `has no password; ${mend}`;
  if (/^\$2[abxy]?\$/.test(text)) return `is a truncated bcrypt hash, or one of an unknown kind; ${mend}`;
  if (text.startsWith('$apr1$') || text.startsWith('{SHA}')) return `is a truncated hash; ${mend}`;
  if (/^\$(?:1|5|6|7|y|argon2\w*)\$|^\{/.test(text))
    return `is a hash of a kind that is not supported (bcrypt, SHA and apr1 are); ${mend}`;
  return `is not a valid hash (bcrypt, SHA or apr1) but a plain password or one of crypt(3); ${mend}`;
}
