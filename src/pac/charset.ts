import { TextDecoder } from 'node:util';

/** A byte-order mark outranks whatever else is said (WHATWG Encoding §6). */
const MARKS = [
  { bytes: Buffer.from([0xef, 0xbb, 0xbf]), encoding: 'utf-8' },
  { bytes: Buffer.from([0xff, 0xfe]), encoding: 'utf-16le' },
  { bytes: Buffer.from([0xfe, 0xff]), encoding: 'utf-16be' },
] as const;

/** The charset that a media type names; empty for none. */
export const charsetOf = (mediaType: string): string => /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(mediaType)?.[1] ?? '';

/**
 * A script as text: by its byte-order mark, by `charset`, as UTF-8, and what is not that was written on a Windows of
 * the West. Names of encodings that nobody knows are passed over.
 */
export function decodeScript(bytes: Buffer, charset: string): string {
  const mark = MARKS.find((one) => bytes.subarray(0, one.bytes.length).equals(one.bytes));
  if (mark !== undefined) return new TextDecoder(mark.encoding).decode(bytes);
  const named = decoderOf(charset);
  if (named !== undefined) return named.decode(bytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder('windows-1252').decode(bytes);
  }
}

function decoderOf(charset: string): TextDecoder | undefined {
  if (charset === '') return undefined;
  try {
    return new TextDecoder(charset);
  } catch {
    return undefined;
  }
}
