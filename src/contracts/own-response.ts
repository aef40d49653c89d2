import { inspect } from 'node:util';
import type { ResponseHead } from './message.ts';
import type { Headers } from './request.ts';

/** Fields as a program writes them: pairs, an object (a list is one line for each of its values), or web `Headers`. */
export type FieldsInput =
  | Iterable<readonly [name: string, value: string]>
  | Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** The head of a response that a program makes. */
export interface ResponseInput {
  readonly status: number;
  /** Default: the usual one of the status. */
  readonly reason?: string | undefined;
  readonly headers?: FieldsInput | undefined;
}

/** Who reads only this line sees it beside words of its own. */
const REASON_CHARS_MAX = 120;
const REASON = /^[\t\x20-\x7e]*$/;
/** RFC 9110 §5.1 and §5.5: anything else could begin another field, or another message. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** How the message ends and what becomes of the connection are made for what the client can read. */
const FRAMING: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

const WRITE_FIELDS = "write an object of text, numbers and lists of text, as { 'X-A': '1' }";

/** Throws a TypeError that names what is wrong. Framing is left out. */
export function responseHead({ status, reason = '', headers = [] }: ResponseInput, statusMin: number): ResponseHead {
  if (!Number.isInteger(status) || status < statusMin || status > 599) {
    throw new TypeError(`status: ${inspect(status, { depth: 0 })} is not a whole number from ${statusMin} to 599`);
  }
  if (typeof reason !== 'string' || !REASON.test(reason) || reason.length > REASON_CHARS_MAX) {
    throw new TypeError(`reason: write at most ${REASON_CHARS_MAX} characters of visible ASCII`);
  }
  return { status, reason, headers: fieldsOf(headers) };
}

function fieldsOf(input: FieldsInput): Headers {
  if (typeof input !== 'object' || input === null) throw new TypeError(`the fields: ${WRITE_FIELDS}`);
  const fields: (readonly [string, string])[] = [];
  for (const [name, value] of pairsOf(input)) {
    if (typeof name !== 'string' || !NAME.test(name)) throw new TypeError('a field name is not a token');
    if (!VALUE.test(value))
      throw new TypeError(`the value of the field ${name} holds characters that no field may have`);
    if (!FRAMING.has(name.toLowerCase())) fields.push([name, value]);
  }
  return fields;
}

function* pairsOf(input: FieldsInput): Iterable<readonly [string, string]> {
  if (isPairs(input)) return yield* input;
  for (const [name, value] of Object.entries(input)) {
    if (value === undefined) continue;
    if (typeof value === 'string' || typeof value === 'number') yield [name, String(value)];
    else if (Array.isArray(value)) for (const one of value) yield [name, one];
    else throw new TypeError(`the value of the field ${name} is none; ${WRITE_FIELDS}`);
  }
}

const isPairs = (input: FieldsInput): input is Iterable<readonly [string, string]> => Symbol.iterator in input;
