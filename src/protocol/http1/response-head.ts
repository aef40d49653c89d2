import type { FailureCode } from '../../contracts/failure.ts';
import type { Headers } from '../../contracts/request.ts';
import { fault } from './fault.ts';
import { valuesOf } from './header-list.ts';
import { endOfLine, parseResponseFields, Repairs, withoutControls } from './response-fields.ts';

// The space before an empty reason is often missing, and a reason may contain any octet but NUL, CR and LF, since no client
// interprets it. Everything else is as in RFC 9112 §4.
const STATUS_LINE = /^HTTP\/1\.(\d) ([1-9]\d\d)(?: ([^\0\r\n]*))?$/;

export interface ResponseHeadText {
  readonly version: '1.0' | '1.1';
  readonly status: number;
  readonly reason: string;
  readonly headers: Headers;
}

/** A response that was repaired is the last one of its connection, even if it says otherwise. */
const CLOSE: readonly [string, string] = ['Connection', 'close'];
export const withClose = (headers: Headers): Headers => [...headers, CLOSE];

/**
 * Parses a whole response head without its final empty line, as leniently as RFC 9112 allows. `blame`: the failure of a
 * malformed head, which depends on whether an origin or an upstream proxy sent it. When the head was repaired,
 * `Connection: close` is appended.
 */
export function parseResponseHead(
  head: string,
  fieldsMax: number,
  blame: FailureCode,
  tooMany: FailureCode = 'origin_head_too_large',
): ResponseHeadText {
  const repairs = new Repairs();
  const lf = head.indexOf('\n');
  const lineEnd = lf < 0 ? head.length : endOfLine(head, 0, lf);
  if (lineEnd === lf) repairs.made = true;
  const line = statusLine(head.slice(0, lineEnd), blame, repairs);
  const headers = lf < 0 ? [] : parseResponseFields(head, lf + 1, { fieldsMax, blame, tooMany }, repairs);
  if (!repairs.made) return { ...line, headers };
  // In a well-formed response Transfer-Encoding takes precedence (RFC 9112 §6.3).
  if (valuesOf(headers, 'content-length').length > 0 && valuesOf(headers, 'transfer-encoding').length > 0) {
    throw fault(blame, 'both Transfer-Encoding and Content-Length in a head that is not well-formed');
  }
  return { ...line, headers: withClose(headers) };
}

/** Parses the first line alone: a server of another protocol often waits for the client behind its banner. */
export const parseStatusLine = (line: string, blame: FailureCode): Omit<ResponseHeadText, 'headers'> =>
  statusLine(line, blame, new Repairs());

function statusLine(line: string, blame: FailureCode, repairs: Repairs): Omit<ResponseHeadText, 'headers'> {
  const match = STATUS_LINE.exec(line);
  if (match === null) throw fault(blame, 'the status line is not HTTP/1.x SP status SP reason');
  const [, minor, status = '', reason = ''] = match;
  return {
    version: minor === '0' ? '1.0' : '1.1',
    status: Number(status),
    reason: withoutControls(reason, repairs),
  };
}
