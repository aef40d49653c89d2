import type { Headers } from '../../contracts/request.ts';
import { trimOws } from './ows.ts';

/**
 * Whether two names are the same but for case; `lower` is in lower case. Nearly all that differ do so in their length or first
 * letter, and lower case makes a string. First characters that are the same but for case are the same with bit 0x20 set.
 */
export const isNamed = (name: string, lower: string): boolean =>
  name.length === lower.length &&
  (name.charCodeAt(0) | 0x20) === (lower.charCodeAt(0) | 0x20) &&
  (name === lower || name.toLowerCase() === lower);

// The lists of a request are looked through some thirty times. `for (const [name, value] of headers)` makes an iterator for the list
// and one for each field, where code is not compiled for speed yet.

/** Values of all fields called `name`, which is in lower case, in order. */
export function valuesOf(headers: Headers, name: string): readonly string[] {
  let values: string[] | undefined;
  for (let at = 0; at < headers.length; at++) {
    const field = headers[at];
    if (field === undefined || !isNamed(field[0], name)) continue;
    if (values === undefined) values = [field[1]];
    else values.push(field[1]);
  }
  return values ?? NONE;
}
const NONE: readonly string[] = [];

/** The value of the first field called `name`, which is in lower case. */
export function firstOf(headers: Headers, name: string): string | undefined {
  for (let at = 0; at < headers.length; at++) {
    const field = headers[at];
    if (field !== undefined && isNamed(field[0], name)) return field[1];
  }
  return undefined;
}

/**
 * Members of a comma-separated list over all its field lines, without empty ones (RFC 9110 §5.6.1.2), in lower case.
 * Not for lists whose members may hold a quoted comma.
 */
export function tokensOf(headers: Headers, name: string): readonly string[] {
  const values = valuesOf(headers, name);
  if (values.length === 0) return NONE;
  const tokens: string[] = [];
  for (const value of values) {
    for (const part of value.split(',')) {
      const token = trimOws(part).toLowerCase();
      if (token !== '') tokens.push(token);
    }
  }
  return tokens;
}

/** The field lines as they are sent, each with its CRLF. */
export function printFields(headers: Headers): string {
  let text = '';
  for (let at = 0; at < headers.length; at++) {
    const field = headers[at];
    if (field !== undefined) text += `${field[0]}: ${field[1]}\r\n`;
  }
  return text;
}
