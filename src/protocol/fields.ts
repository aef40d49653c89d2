import { type FailureCode, ProxyError } from '../core/failure.ts';
import type { Headers } from '../core/request.ts';

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Anything but HTAB, visible ASCII, SP and obs-text (RFC 9110 §5.5): NUL, bare CR and LF, VT, DEL … */
const NOT_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** What to do with lines that an old sender may fold or pad: requests are refused, answers are repaired. */
export type Repair = 'refuse' | 'repair';

export interface FieldRules {
  readonly fieldsMax: number;
  /** The failure that a broken line becomes: whose message it is. */
  readonly blame: FailureCode;
  /** The failure that too many lines become. */
  readonly tooMany: FailureCode;
  readonly repair: Repair;
}

/**
 * Field lines of a head or a trailer section, from `from` to the end of `text`, lines parted by CRLF.
 * Names must be tokens directly followed by a colon: a recipient that skips the space in `Content-Length : 5` and
 * one that does not would disagree about where the message ends (RFC 9112 §5.1).
 */
export function parseFields(text: string, from: number, rules: FieldRules): Headers {
  const fields: [string, string][] = [];
  for (let at = from; at < text.length; ) {
    const found = text.indexOf('\r\n', at);
    const end = found < 0 ? text.length : found;
    if (isBlank(text.charCodeAt(at))) unfold(fields, text, at, end, rules);
    else {
      if (fields.length >= rules.fieldsMax)
        throw new ProxyError(rules.tooMany, `more than ${rules.fieldsMax} field lines`);
      fields.push(parseField(text, at, end, rules));
    }
    at = end + 2;
  }
  return fields;
}

/** A line is given by its place in the head: to cut it out first would make twice as many strings. */
function parseField(text: string, at: number, end: number, rules: FieldRules): [string, string] {
  const colon = text.indexOf(':', at);
  // RFC 9112 §5.1: a proxy removes the space before the colon of an answer; in a request it is an attack.
  const name = rules.repair === 'repair' ? trimmed(text, at, colon) : text.slice(at, colon);
  if (colon <= at || colon >= end || !NAME.test(name))
    throw new ProxyError(rules.blame, 'a field line has no valid name');
  return [name, parseValue(text, colon + 1, end, rules)];
}

function parseValue(text: string, at: number, end: number, rules: FieldRules): string {
  const value = trimmed(text, at, end);
  if (NOT_IN_VALUE.test(value)) throw new ProxyError(rules.blame, 'a field value holds a control character');
  return value;
}

/** obs-fold (RFC 9112 §5.2): refused in a request, one SP in an answer. */
function unfold(fields: [string, string][], text: string, at: number, end: number, rules: FieldRules): void {
  const last = fields.at(-1);
  if (rules.repair === 'refuse' || last === undefined) throw new ProxyError(rules.blame, 'a field line is folded');
  const more = parseValue(text, at, end, rules);
  if (last[1] === '' || more === '') last[1] += more;
  else last[1] += ` ${more}`;
}

/** Optional white space only: String.trim() would also take NBSP, which is obs-text here, and VT, which is an error. */
function trimmed(text: string, at: number, end: number): string {
  let from = at;
  let to = end;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}
const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;
