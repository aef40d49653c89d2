import type { Headers } from '../../contracts/request.ts';
import { fault } from './fault.ts';
import { FIELD_NAME, type FieldRules, NOT_IN_VALUE } from './fields.ts';
import { isBlank, trimmedPart, trimOws } from './ows.ts';

const CR = 0x0d;
const LF = '\n';
const ALL_NOT_IN_VALUE = new RegExp(NOT_IN_VALUE, 'g');
/** Never repaired: some recipients take a bare CR for the end of a line, or NUL for the end of a text. */
const NUL_OR_CR = /[\0\r]/;

/** Fields that determine where a body ends: they are never repaired. */
const FRAMING = /^(?:content-length|transfer-encoding)$/i;
/** Their names without the characters that another recipient might ignore. */
const NEARLY_FRAMING = /^(?:contentlength|transferencoding)$/i;

/** Records that a response was repaired: what its sender meant is a guess, so its connection is closed behind it. */
export class Repairs {
  made = false;
}

/**
 * Field lines of a response, from `from` to the end of `text`. Malformed lines of old origins are repaired as RFC 9112
 * asks: lines may end in LF alone (§2.2), white space before the colon (§5.1) and folds (§5.2) are removed, control
 * characters in values become SP (RFC 9110 §5.5), and a field whose name is not a token is left out, since it cannot be
 * forwarded. NUL and a bare CR are refused, and so is every malformed line that might be about framing.
 */
export function parseResponseFields(text: string, from: number, rules: FieldRules, repairs: Repairs): Headers {
  const parser = new ResponseFields(text, rules, repairs);
  for (let at = from; at < text.length; ) {
    const lf = text.indexOf(LF, at);
    if (lf < 0) {
      parser.line(at, text.length);
      break;
    }
    const end = endOfLine(text, at, lf);
    if (end === lf) repairs.made = true;
    parser.line(at, end);
    at = lf + 1;
  }
  return parser.fields;
}

/** Where a line ends that begins at `at` and whose LF is at `lf`: before the CR, where there is one. */
export const endOfLine = (text: string, at: number, lf: number): number =>
  lf > at && text.charCodeAt(lf - 1) === CR ? lf - 1 : lf;

/** Replaces control characters by SP (RFC 9110 §5.5). */
export function withoutControls(text: string, repairs: Repairs): string {
  if (!NOT_IN_VALUE.test(text)) return text;
  repairs.made = true;
  return trimOws(text.replaceAll(ALL_NOT_IN_VALUE, ' '));
}

class ResponseFields {
  readonly fields: [string, string][] = [];
  readonly #text: string;
  readonly #rules: FieldRules;
  readonly #repairs: Repairs;
  #lines = 0;
  /** The field that a folded line continues, or that it was left out. */
  #open: [string, string] | 'left out' | undefined;

  constructor(text: string, rules: FieldRules, repairs: Repairs) {
    this.#text = text;
    this.#rules = rules;
    this.#repairs = repairs;
  }

  /** A line is given by its position in the head: to cut it out first would make twice as many strings. */
  line(at: number, end: number): void {
    if (isBlank(this.#text.charCodeAt(at))) return this.#unfold(at, end);
    const { fieldsMax, tooMany } = this.#rules;
    if (this.#lines >= fieldsMax) throw fault(tooMany, `more than ${fieldsMax} field lines`);
    this.#lines += 1;
    this.#open = this.#field(at, end);
    if (this.#open !== 'left out') this.fields.push(this.#open);
  }

  #field(at: number, end: number): [string, string] | 'left out' {
    const text = this.#text;
    const colon = text.indexOf(':', at);
    if (colon < 0 || colon >= end) throw this.#fault('a field line has no colon');
    const name = trimmedPart(text, at, colon);
    if (name.length !== colon - at) this.#repairs.made = true;
    const value = this.#value(name, colon + 1, end);
    return FIELD_NAME.test(name) ? [name, value] : this.#leaveOut(name);
  }

  #value(name: string, at: number, end: number): string {
    const value = trimmedPart(this.#text, at, end);
    if (!NOT_IN_VALUE.test(value)) return value;
    if (NUL_OR_CR.test(value)) throw this.#fault('a field value holds NUL or a bare CR');
    if (FRAMING.test(name)) throw this.#fault(`${name} holds a control character`);
    return withoutControls(value, this.#repairs);
  }

  #leaveOut(name: string): 'left out' {
    if (NUL_OR_CR.test(name)) throw this.#fault('a field name holds NUL or a bare CR');
    if (NEARLY_FRAMING.test(name.replaceAll(/[^a-z]/gi, ''))) {
      throw this.#fault('a field name is nearly Content-Length or Transfer-Encoding');
    }
    this.#repairs.made = true;
    return 'left out';
  }

  /** obs-fold: one SP (RFC 9112 §5.2). */
  #unfold(at: number, end: number): void {
    const last = this.#open;
    if (last === undefined) throw this.#fault('the first field line is folded');
    this.#repairs.made = true;
    const more = this.#value(last === 'left out' ? '' : last[0], at, end);
    if (last === 'left out') return;
    if (last[1] === '' || more === '') last[1] += more;
    else last[1] += ` ${more}`;
  }

  #fault(detail: string): Error {
    return fault(this.#rules.blame, detail);
  }
}
