import { CHUNK_HEAD_BYTES_MAX, CHUNK_TAIL_BYTES } from '../protocol/chunked.ts';

/** Largest read of a busy flow: beyond this a larger one no longer saves CPU, and copies leave the processor's cache. */
export const BULK_BYTES = 262_144;

/** Idle buffers kept for the next busy flow: 16 × 256 KiB = 4 MiB; more would be memory that nobody uses. */
const KEPT_MAX = 16;

const kept: Buffer[] = [];

/** A buffer for one busy flow. Before and behind it there is room for the head and the tail of a chunk. */
export function takeBulkBuffer(): Buffer {
  const buffer = kept.pop();
  if (buffer !== undefined) return buffer;
  const whole = Buffer.allocUnsafeSlow(CHUNK_HEAD_BYTES_MAX + BULK_BYTES + CHUNK_TAIL_BYTES);
  return whole.subarray(CHUNK_HEAD_BYTES_MAX, CHUNK_HEAD_BYTES_MAX + BULK_BYTES);
}

/** Returns a buffer that no read and no write uses any more. */
export function returnBulkBuffer(buffer: Buffer): void {
  if (kept.length < KEPT_MAX) kept.push(buffer);
}
