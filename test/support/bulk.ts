import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { Readable as ReadableStream } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';

/** Random once, and of a length that no buffer divides: bytes that change places change the hash. */
const PATTERN = randomBytes(1_048_573);

/** `bytes` of the pattern, as a stream that its reader slows down. */
export function patternOf(bytes: number): Readable {
  return ReadableStream.from(pieces(bytes), { objectMode: false, highWaterMark: PATTERN.length });
}

function* pieces(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= PATTERN.length) yield PATTERN.subarray(0, Math.min(left, PATTERN.length));
}

/** Writes `bytes` of the pattern, and then ends unless `then` is `stay`. */
export async function sendPattern(to: Writable, bytes: number, then: 'end' | 'stay' = 'end'): Promise<void> {
  await pipeline(patternOf(bytes), to, { end: then === 'end' });
}

const expected = new Map<number, string>();

/** The hash of `bytes` of the pattern. */
export function hashOfPattern(bytes: number): string {
  let known = expected.get(bytes);
  if (known === undefined) {
    const hash = createHash('sha1');
    for (const piece of pieces(bytes)) hash.update(piece);
    known = hash.digest('hex');
    expected.set(bytes, known);
  }
  return known;
}

/** The hash of all that comes, and how much that was; resolves at its end or after `bytes`. */
export async function hashOf(
  from: Readable,
  bytes = Number.POSITIVE_INFINITY,
): Promise<{ hash: string; bytes: number }> {
  const hash = createHash('sha1');
  let seen = 0;
  const whole = new Promise<void>((resolve) => {
    from.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      seen += chunk.length;
      if (seen >= bytes) resolve();
    });
  });
  await Promise.race([whole, finished(from, { writable: false })]);
  return { hash: hash.digest('hex'), bytes: seen };
}

/** Resident memory of a process, in bytes. Linux only. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}

export const MB = 1_000_000;

/** Whether `npm run test:long` runs the long form of a measurement; the short one proves the same of fewer bytes. */
export const isLong: boolean = process.env.VIADUCT_LONG === '1';
