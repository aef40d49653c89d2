import { TextDecoder } from 'node:util';

/** A byte-order mark outranks every other statement about the encoding (WHATWG Encoding §6). */
const MARKS = [
  { bytes: Buffer.from([0xef, 0xbb, 0xbf]), encoding: 'utf-8' },
  { bytes: Buffer.from([0xff, 0xfe]), encoding: 'utf-16le' },
  { bytes: Buffer.from([0xfe, 0xff]), encoding: 'utf-16be' },
] as const;
type Unicode = (typeof MARKS)[number]['encoding'];

export interface DecodedText {
  /** Without a byte-order mark. */
  readonly text: string;
  /** `windows-1252` is a guess: what is neither UTF-8 nor UTF-16 says no more about itself. */
  readonly encoding: Unicode | 'windows-1252';
}

/**
 * The text of a file as editors write it, those of Windows included: UTF-8 or UTF-16, with a byte-order mark or without
 * one; what is neither was written in the code page of a Windows of the West ("ANSI").
 */
export function decodeText(bytes: Buffer): DecodedText {
  const encoding = encodingOf(bytes);
  if (encoding !== undefined) return { text: new TextDecoder(encoding).decode(bytes), encoding };
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), encoding: 'utf-8' };
  } catch {
    return { text: new TextDecoder('windows-1252').decode(bytes), encoding: 'windows-1252' };
  }
}

/** As the mark says it. No text has a NUL, and UTF-16 has one in each of the characters with which our files begin. */
function encodingOf(bytes: Buffer): Unicode | undefined {
  const marked = markedEncoding(bytes);
  if (marked !== undefined) return marked;
  const [first, second] = bytes;
  if (first === undefined || second === undefined) return undefined;
  if (first !== 0 && second === 0) return 'utf-16le';
  return first === 0 && second !== 0 ? 'utf-16be' : undefined;
}

/** What the byte-order mark says; `undefined`: there is none. */
export const markedEncoding = (bytes: Buffer): Unicode | undefined =>
  MARKS.find((one) => bytes.subarray(0, one.bytes.length).equals(one.bytes))?.encoding;
