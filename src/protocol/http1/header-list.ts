import type { Headers } from '../../contracts/request.ts';
import { trimOws } from './ows.ts';

/** Values of all fields called `name`, which is in lower case, in order. */
export function valuesOf(headers: Headers, name: string): readonly string[] {
  let values: string[] | undefined;
  for (const [key, value] of headers) {
    if (key.length === name.length && key.toLowerCase() === name) {
      if (values === undefined) values = [value];
      else values.push(value);
    }
  }
  return values ?? NONE;
}
const NONE: readonly string[] = [];

/** The value of the first field called `name`, which is in lower case. */
export const firstOf = (headers: Headers, name: string): string | undefined => {
  for (const [key, value] of headers) {
    if (key.length === name.length && key.toLowerCase() === name) return value;
  }
  return undefined;
};

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
  for (const [name, value] of headers) text += `${name}: ${value}\r\n`;
  return text;
}
