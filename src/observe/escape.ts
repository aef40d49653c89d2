/**
 * Text that a client chose, made harmless for a log. What is at stake: a line break forges a line, a quote or a space
 * forges a field, and ESC or a C1 control (0x9b) drives the terminal on which the log is read.
 */

/** Longest single value in a line. A head may hold 30 kB of User-Agent; a log that repeats it is the client's to fill. */
export const FIELD_CHARS_MAX = 2048;

const hex = (code: number, digits: number): string => code.toString(16).padStart(digits, '0');

/** No longer than one value may be. */
export const cut = (text: string): string =>
  text.length > FIELD_CHARS_MAX ? `${text.slice(0, FIELD_CHARS_MAX)}...` : text;

const backslashed = (char: string): string => {
  if (char === '"' || char === '\\') return `\\${char}`;
  const code = char.charCodeAt(0);
  return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
};

/** For a quoted field or a sentence, as Apache writes it: only printable ASCII leaves; `"` and `\` get a backslash. */
export const quotable = (text: string): string => cut(text).replace(/[^\x20-\x7e]|["\\]/g, backslashed);

/** For a sentence of our own that may quote a client: only what is not printable ASCII is escaped. */
export const printable = (text: string): string => cut(text).replace(/[^\x20-\x7e]/g, backslashed);

/** For a field between blanks, percent-encoded as Squid does it; `-` when there is nothing. */
export function word(text: string | undefined): string {
  if (text === undefined || text === '') return '-';
  return cut(text).replace(/[^\x21-\x7e]|["\\]/g, (char) => {
    const code = char.charCodeAt(0);
    // Head fields are latin1 (one character, one octet): the octet itself. Anything else came from our own files.
    if (code < 0x100) return `%${hex(code, 2).toUpperCase()}`;
    return `%u${hex(code, 4).toUpperCase()}`;
  });
}

/**
 * One line of JSON in ASCII. JSON itself lets DEL, C1 controls and line separators through. Long values are for the
 * caller to `cut`: a replacer function costs more than the rest of the line.
 */
export const jsonLine = (value: unknown): string =>
  JSON.stringify(value).replace(/[\x7f-\uffff]/g, (char) => `\\u${hex(char.charCodeAt(0), 4)}`);

/**
 * A URL without what may be secret: userinfo, query and fragment.
 * The record promises the same; a log that relied on it would leak secrets until the mistake was noticed.
 */
export const publicUrl = (url: string): string =>
  // Both expressions together cost as much as the rest of a log line, and nearly no URL has anything for them.
  MAYBE_SECRET.test(url) ? url.replace(/[?#].*$/s, '').replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1') : url;
const MAYBE_SECRET = /[?#@]/;

/** `http://host:port/`, and `/` of a path for the proxy itself. */
export const originOf = (url: string): string => `${/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i.exec(publicUrl(url))?.[0] ?? ''}/`;
