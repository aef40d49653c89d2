import { CHUNK_HEAD_BYTES_MAX, CHUNK_TAIL_BYTES } from '../protocol/http1/chunked.ts';

/** Largest read of a busy flow: a larger one saves no more CPU, and copies no longer fit the processor's cache. */
export const BULK_BYTES = 262_144;

/** Idle buffers kept for the next busy flow: 16 × 256 KiB = 4 MiB; more would rarely be used. */
const POOLED_MAX = 16;

const pool: Buffer[] = [];

/** A buffer for one busy flow. Before and behind it there is space for the head and the tail of a chunk. */
export function takeBulkBuffer(): Buffer {
  const buffer = pool.pop();
  if (buffer !== undefined) return buffer;
  const whole = Buffer.allocUnsafeSlow(CHUNK_HEAD_BYTES_MAX + BULK_BYTES + CHUNK_TAIL_BYTES);
  return whole.subarray(CHUNK_HEAD_BYTES_MAX, CHUNK_HEAD_BYTES_MAX + BULK_BYTES);
}

/** Returns a buffer that no read and no write uses any more. */
export function returnBulkBuffer(buffer: Buffer): void {
  if (pool.length < POOLED_MAX) pool.push(buffer);
}
