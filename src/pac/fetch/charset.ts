import { TextDecoder } from 'node:util';
import { decodeText, markedEncoding } from '../../files/decode-text.ts';

/** The charset that a media type names; empty for none. */
export const charsetOf = (mediaType: string): string =>
  /;[ \t]*charset[ \t]*=[ \t]*"?([^";\s]+)/i.exec(mediaType)?.[1] ?? '';

/**
 * The text of a script: by its byte-order mark, else by `charset`, else as UTF-8 or windows-1252. Unknown encodings are
 * ignored.
 */
export function decodeScript(bytes: Buffer, charset: string): string {
  const named = markedEncoding(bytes) === undefined ? decoderOf(charset) : undefined;
  return named?.decode(bytes) ?? decodeText(bytes).text;
}

function decoderOf(charset: string): TextDecoder | undefined {
  if (charset === '') return undefined;
  try {
    return new TextDecoder(charset);
  } catch {
    return undefined;
  }
}
