import { charsetOf } from './charset.ts';

/** What a `data:` URL holds (RFC 2397). */
export interface DataContent {
  readonly bytes: Buffer;
  readonly charset: string;
}

/**
 * Any media type, in percent-encoding or base64. A `#` is part of the script: programs paste scripts behind `data:,` as
 * they are, and a fragment has no meaning here. `undefined`: it has no comma, or the base64 is none.
 */
export function readDataUrl(url: string): DataContent | undefined {
  const [, mediaType = '', coding, content] = /^data:([^,]*?)(;\s*base64)?,(.*)$/is.exec(url) ?? [];
  if (content === undefined) return undefined;
  const bytes = percentDecoded(content);
  const charset = charsetOf(mediaType);
  if (coding === undefined) return { bytes, charset };
  const text = bytes.toString('latin1').replace(/\s+/g, '').replaceAll('-', '+').replaceAll('_', '/');
  // Node skips what is no base64, and the script would be another one.
  return /^[a-z0-9+/]*={0,2}$/i.test(text) ? { bytes: Buffer.from(text, 'base64'), charset } : undefined;
}

/** `%` without two digits stands for itself: in a script it is the remainder of a division. */
function percentDecoded(text: string): Buffer {
  const bytes = Buffer.from(text);
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] === 0x25 ? Number.parseInt(hexAt(bytes, at + 1), 16) : Number.NaN;
    bytes[length++] = Number.isNaN(byte) ? (bytes[at] ?? 0) : byte;
    if (!Number.isNaN(byte)) at += 2;
  }
  return bytes.subarray(0, length);
}

const hexAt = (bytes: Buffer, at: number): string => {
  const digits = bytes.toString('latin1', at, at + 2);
  return /^[0-9a-f]{2}$/i.test(digits) ? digits : '';
};
