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
    const end = text.indexOf('\r\n', at);
    const line = text.slice(at, end < 0 ? text.length : end);
    at = end < 0 ? text.length : end + 2;
    if (isFolded(line)) {
      unfold(fields, line, rules);
      continue;
    }
    if (fields.length >= rules.fieldsMax)
      throw new ProxyError(rules.tooMany, `more than ${rules.fieldsMax} field lines`);
    fields.push(parseField(line, rules));
  }
  return fields;
}

function parseField(line: string, rules: FieldRules): [string, string] {
  const colon = line.indexOf(':');
  let name = line.slice(0, colon);
  // RFC 9112 §5.1: a proxy removes the space before the colon of an answer; in a request it is an attack.
  if (rules.repair === 'repair') name = trimRight(name);
  if (colon <= 0 || !NAME.test(name)) throw new ProxyError(rules.blame, 'a field line has no valid name');
  return [name, parseValue(line.slice(colon + 1), rules)];
}

function parseValue(raw: string, rules: FieldRules): string {
  const value = trim(raw);
  if (NOT_IN_VALUE.test(value)) throw new ProxyError(rules.blame, 'a field value holds a control character');
  return value;
}

const isFolded = (line: string): boolean => line.startsWith(' ') || line.startsWith('\t');

/** obs-fold (RFC 9112 §5.2): refused in a request, one SP in an answer. */
function unfold(fields: [string, string][], line: string, rules: FieldRules): void {
  const last = fields.at(-1);
  if (rules.repair === 'refuse' || last === undefined) throw new ProxyError(rules.blame, 'a field line is folded');
  last[1] = trim(`${last[1]} ${parseValue(line, rules)}`);
}

/** Optional white space only: String.trim() would also take NBSP, which is obs-text here, and VT, which is an error. */
function trim(text: string): string {
  let start = 0;
  while (isBlank(text.charCodeAt(start))) start++;
  return trimRight(start === 0 ? text : text.slice(start));
}
function trimRight(text: string): string {
  let end = text.length;
  while (end > 0 && isBlank(text.charCodeAt(end - 1))) end--;
  return end === text.length ? text : text.slice(0, end);
}
const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;
