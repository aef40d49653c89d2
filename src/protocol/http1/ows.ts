/**
 * Optional white space is SP and HTAB, and nothing else (RFC 9110 §5.6.3). String.trim() and `\s` would also take NBSP,
 * which is obs-text in a field value: what one recipient reads as `chunked` is another word to the next.
 */
export const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

/** `text` from `at` to `end`, without optional white space around it. */
export function trimmedPart(text: string, at: number, end: number): string {
  let from = at;
  let to = end;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

export const trimOws = (text: string): string => trimmedPart(text, 0, text.length);
