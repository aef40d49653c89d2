import { createHash, hash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';

const ROUNDS = 1000;
/** A thousand rounds take milliseconds, so the event loop runs in between. */
const ROUNDS_PER_TURN = 100;
const MAGIC = '$apr1$';
const md5 = (...parts: readonly Uint8Array[]): Buffer => hash('md5', Buffer.concat(parts), 'buffer');

/** The digest part of Apache's `$apr1$salt$digest` (apr_md5_encode): salted MD5, a thousand times. */
export async function apr1(password: string, salt: string): Promise<string> {
  const secret = Buffer.from(password);
  const salted = Buffer.from(salt);
  let digest = firstDigest(secret, salted);
  for (let round = 0; round < ROUNDS; round++) {
    if (round % ROUNDS_PER_TURN === ROUNDS_PER_TURN - 1) await nextTurn();
    const odd = round % 2 === 1;
    digest = md5(
      odd ? secret : digest,
      round % 3 === 0 ? NOTHING : salted,
      round % 7 === 0 ? NOTHING : secret,
      odd ? digest : secret,
    );
  }
  return encode(digest);
}
const NOTHING = Buffer.alloc(0);

function firstDigest(secret: Buffer, salt: Buffer): Buffer {
  const alternate = md5(secret, salt, secret);
  const context = createHash('md5').update(secret).update(MAGIC).update(salt);
  for (let left = secret.length; left > 0; left -= alternate.length) {
    context.update(alternate.subarray(0, Math.min(left, alternate.length)));
  }
  // This looks like a mistake in the original and is the format: a bit of the length selects a NUL or the first byte.
  for (let bits = secret.length; bits > 0; bits >>= 1) {
    context.update(bits & 1 ? Buffer.of(0) : secret.subarray(0, 1));
  }
  return context.digest();
}

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** Bytes of the digest in the order in which the format writes them, three to a group. */
const GROUPS: readonly (readonly [number, number, number])[] = [
  [0, 6, 12],
  [1, 7, 13],
  [2, 8, 14],
  [3, 9, 15],
  [4, 10, 5],
];

function encode(digest: Buffer): string {
  const byte = (at: number) => digest[at] ?? 0;
  const groups = GROUPS.map(([a, b, c]) => characters((byte(a) << 16) | (byte(b) << 8) | byte(c), 4));
  return groups.join('') + characters(byte(11), 2);
}

/** Six bits to a character, the lowest first. */
const characters = (bits: number, count: number): string =>
  Array.from({ length: count }, (_, at) => ALPHABET[(bits >> (6 * at)) & 63]).join('');
