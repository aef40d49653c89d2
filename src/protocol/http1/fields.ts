import type { FailureCode } from '../../contracts/failure.ts';
import type { Headers } from '../../contracts/request.ts';
import { fault } from './fault.ts';
import { isBlank, trimmedPart } from './ows.ts';

/** A field name is a token (RFC 9110 §5.1). */
export const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Anything but HTAB, visible ASCII, SP and obs-text (RFC 9110 §5.5): NUL, bare CR and LF, VT, DEL … */
export const NOT_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

export interface FieldRules {
  readonly fieldsMax: number;
  /** The failure for a malformed line: it depends on who sent the message. */
  readonly blame: FailureCode;
  /** The failure for too many lines. */
  readonly tooMany: FailureCode;
}

/**
 * Field lines of a request head or a trailer section, from `from` to the end of `text`, lines parted by CRLF.
 * Names must be tokens directly followed by a colon: a recipient that skips the space in `Content-Length : 5` and
 * one that does not would disagree about where the message ends (RFC 9112 §5.1). For responses: `parseResponseFields`.
 */
export function parseFields(text: string, from: number, rules: FieldRules): Headers {
  const fields: [string, string][] = [];
  for (let at = from; at < text.length; ) {
    const found = text.indexOf('\r\n', at);
    const end = found < 0 ? text.length : found;
    // obs-fold (RFC 9112 §5.2).
    if (isBlank(text.charCodeAt(at))) throw fault(rules.blame, 'a field line is folded');
    if (fields.length >= rules.fieldsMax) throw fault(rules.tooMany, `more than ${rules.fieldsMax} field lines`);
    fields.push(parseField(text, at, end, rules));
    at = end + 2;
  }
  // A copy has space for these; one that has grown has space for seventeen, for as long as the tunnel is open.
  return fields.slice();
}

/** A line is given by its position in the head: to cut it out first would make twice as many strings. */
function parseField(text: string, at: number, end: number, { blame }: FieldRules): [string, string] {
  const colon = text.indexOf(':', at);
  const name = text.slice(at, colon);
  if (colon <= at || colon >= end || !FIELD_NAME.test(name)) throw fault(blame, 'a field line has no valid name');
  const value = trimmedPart(text, colon + 1, end);
  if (NOT_IN_VALUE.test(value)) throw fault(blame, 'a field value holds a control character');
  return [name, value];
}
