import { type FailureCode, ProxyError } from '../core/failure.ts';
import type { Headers } from '../core/request.ts';
import { parseFields } from './fields.ts';

// The space before an empty reason is often missing; everything else is as RFC 9112 §4 has it.
const STATUS_LINE = /^HTTP\/1\.(\d) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;

export interface ResponseHead {
  readonly version: '1.0' | '1.1';
  readonly status: number;
  readonly reason: string;
  readonly headers: Headers;
}

/** Parses a whole response head without its final empty line. `blame` tells an origin's fault from a parent's. */
export function parseResponseHead(
  head: string,
  fieldsMax: number,
  blame: FailureCode,
  tooMany: FailureCode = 'origin_head_too_large',
): ResponseHead {
  const lineEnd = head.indexOf('\r\n');
  const line = parseStatusLine(lineEnd < 0 ? head : head.slice(0, lineEnd), blame);
  const headers = lineEnd < 0 ? [] : parseFields(head, lineEnd + 2, { fieldsMax, blame, tooMany, repair: 'repair' });
  return { ...line, headers };
}

/** Parses the first line alone: a server that speaks another protocol first often waits for more behind its banner. */
export function parseStatusLine(line: string, blame: FailureCode): Omit<ResponseHead, 'headers'> {
  const match = STATUS_LINE.exec(line);
  if (match === null) throw new ProxyError(blame, 'the status line is not HTTP/1.x SP status SP reason');
  const [, minor, status = '', reason = ''] = match;
  return { version: minor === '0' ? '1.0' : '1.1', status: Number(status), reason };
}
