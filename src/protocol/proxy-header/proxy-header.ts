import type { ProxyHeaderProgress } from './progress.ts';
import { parseProxyHeaderV1, V1_BEGINS } from './v1.ts';
import { parseProxyHeaderV2, V2_SIGNATURE } from './v2.ts';

/** Reads either version; the first byte that fits neither is the end of it. */
export function parseProxyHeader(bytes: Buffer): ProxyHeaderProgress {
  if (begins(bytes, V2_SIGNATURE)) return parseProxyHeaderV2(bytes);
  if (begins(bytes, V1_BEGINS)) return parseProxyHeaderV1(bytes);
  return { at: 'malformed', why: 'no PROXY header' };
}

/** Whether both are the same as far as both go. */
function begins(bytes: Buffer, expected: Buffer): boolean {
  const length = Math.min(bytes.length, expected.length);
  return bytes.compare(expected, 0, length, 0, length) === 0;
}
