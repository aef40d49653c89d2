import { ProxyError } from '../../contracts/failure.ts';
import type { Headers } from '../../contracts/request.ts';
import { type FieldRules, parseFields } from './fields.ts';

/** Longer than any registered method; a longer one is 501 (RFC 9112 §3). */
const METHOD_CHARS_MAX = 32;

// Exactly one SP on each side: a parser that skips more could read another target than the next recipient.
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP\/(\d)\.(\d)$/;
/** A request line with another version, which is answered 505 instead of 400. */
const OTHER_VERSION = /^\S+ \S+ HTTP\/\d+(?:\.\d+)?$/;

export interface RequestHeadText {
  readonly method: string;
  /** As received; request-target.ts parses it. */
  readonly target: string;
  readonly version: '1.0' | '1.1';
  readonly headers: Headers;
}

/** Parses a whole request head without its final empty line (RFC 9112 §3, §5). */
export function parseRequestHead(head: string, fieldsMax: number): RequestHeadText {
  const lineEnd = head.indexOf('\r\n');
  const line = parseRequestLine(lineEnd < 0 ? head : head.slice(0, lineEnd));
  const rules: FieldRules = { fieldsMax, blame: 'bad_request', tooMany: 'head_too_large' };
  const headers = lineEnd < 0 ? [] : parseFields(head, lineEnd + 2, rules);
  return { ...line, headers };
}

/** Parses the first line alone: a client of another protocol is refused before its head ends, which may never happen. */
export function parseRequestLine(line: string): Pick<RequestHeadText, 'method' | 'target' | 'version'> {
  const match = REQUEST_LINE.exec(line);
  if (match === null) throw notARequestLine(line);
  const [, method = '', target = '', major, minor] = match;
  if (major !== '1') throw new ProxyError('version_unsupported', `HTTP/${major}.${minor}`);
  if (method.length > METHOD_CHARS_MAX) throw new ProxyError('not_implemented', 'the method is too long');
  // A minor version above 1 is served as 1.1, the highest that the proxy supports (RFC 9110 §2.5).
  return { method, target, version: minor === '0' ? '1.0' : '1.1' };
}

/** Whether a line that is too long begins with a method that is too long: that is 501 and not 414. */
export const isMethodTooLong = (begins: string): boolean => !begins.slice(0, METHOD_CHARS_MAX + 1).includes(' ');

const notARequestLine = (line: string): ProxyError =>
  OTHER_VERSION.test(line) && !/ HTTP\/1\.\d$/.test(line)
    ? new ProxyError('version_unsupported', 'the request line names another version')
    : new ProxyError('bad_request', 'the request line is not METHOD SP TARGET SP HTTP/1.1');
