import { charsetOf } from './charset.ts';

/** The content of a `data:` URL (RFC 2397). */
export interface DataContent {
  readonly bytes: Buffer;
  readonly charset: string;
}

/**
 * Any media type, in percent-encoding or base64. A `#` is part of the script: programs append scripts to `data:,`
 * unencoded, and a fragment has no meaning here. `undefined`: there is no comma, or the base64 is invalid.
 */
export function readDataUrl(url: string): DataContent | undefined {
  const [, mediaType = '', coding, content] = /^data:([^,]*?)(;\s*base64)?,(.*)$/is.exec(url) ?? [];
  if (content === undefined) return undefined;
  const bytes = percentDecoded(content);
  const charset = charsetOf(mediaType);
  if (coding === undefined) return { bytes, charset };
  const text = bytes.toString('latin1').replace(/\s+/g, '').replaceAll('-', '+').replaceAll('_', '/');
  // Node skips characters outside of base64, which would change the script.
  return /^[a-z0-9+/]*={0,2}$/i.test(text) ? { bytes: Buffer.from(text, 'base64'), charset } : undefined;
}

/** A `%` without two digits is kept: in a script it is the remainder operator. */
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
