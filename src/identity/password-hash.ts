import { createHmac, hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { apr1 } from './apr1.ts';

/** A password that can be recognised but not read. */
export interface PasswordHash {
  /** Roughly what one comparison costs, in microseconds: only the order matters. */
  readonly costUs: number;
  verify(password: string): Promise<boolean>;
}

/** A slow hash asked for more than this is a slip: cost 18 takes a quarter of a minute for every attempt. */
const BCRYPT_COST_MAX = 17;
const BCRYPT_COST_MIN = 4;

/** What `htpasswd` writes. Throws an Error that says in plain words what is wrong and how to mend it. */
export function parsePasswordHash(text: string): PasswordHash {
  const bcrypt = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(text);
  if (bcrypt) return bcryptHash(text, Number(bcrypt[1]));
  const sha = /^\{SHA\}([A-Za-z0-9+/]{27}=)$/.exec(text)?.[1];
  if (sha !== undefined) return shaHash(sha);
  const [, salt, digest] = /^\$apr1\$([./A-Za-z0-9]{1,8})\$([./A-Za-z0-9]{22})$/.exec(text) ?? [];
  if (salt !== undefined && digest !== undefined) {
    return { costUs: 2500, verify: async (password) => same(await apr1(password, salt), digest) };
  }
  throw new Error(complaint(text));
}

/** A password given as it is: kept only as a keyed digest, so that no dump of memory shows it. */
export function hashOfPlain(password: string): PasswordHash {
  const key = randomBytes(32);
  const digestOf = (text: string) => createHmac('sha256', key).update(text).digest('base64');
  const expected = digestOf(password);
  return { costUs: 2, verify: async (given) => same(digestOf(given), expected) };
}

function bcryptHash(text: string, cost: number): PasswordHash {
  if (cost < BCRYPT_COST_MIN || cost > BCRYPT_COST_MAX) {
    throw new Error(
      `has bcrypt cost ${cost}; make it with a cost from ${BCRYPT_COST_MIN} to ${BCRYPT_COST_MAX}: htpasswd -B -C 10`,
    );
  }
  return {
    costUs: 60 * 2 ** cost,
    async verify(password) {
      // Loaded when it is needed: a native module that few configurations use.
      const { verify } = await import('@node-rs/bcrypt');
      return await verify(password, text);
    },
  };
}

const shaHash = (expected: string): PasswordHash => ({
  costUs: 1,
  verify: async (password) => same(hash('sha1', password, 'base64'), expected),
});

/** In time that depends on the lengths alone, which every hash of a kind has the same. */
function same(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one, 'latin1'), Buffer.from(other, 'latin1')];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Never with the text itself: it may be a password. */
function complaint(text: string): string {
  const mend = 'make it anew with htpasswd -B';
  if (text === '') return `has no password; ${mend}`;
  if (/^\$2[abxy]?\$/.test(text)) return `is a bcrypt hash that is cut off or of an unknown kind; ${mend}`;
  if (text.startsWith('$apr1$') || text.startsWith('{SHA}')) return `is a hash that is cut off; ${mend}`;
  if (/^\$(?:1|5|6|7|y|argon2\w*)\$|^\{/.test(text))
    return `is a hash of a kind that is not supported (bcrypt, SHA and apr1 are); ${mend}`;
  return `is no hash that is supported (bcrypt, SHA or apr1): a password in the clear, or of crypt(3); ${mend}`;
}
