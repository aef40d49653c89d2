import type { FailureCode } from '../../contracts/failure.ts';
import type { Framing, Headers } from '../../contracts/request.ts';
import { fault } from './fault.ts';
import { tokensOf, valuesOf } from './header-list.ts';
import { trimOws } from './ows.ts';

const NONE: Framing = { kind: 'none' };
const CHUNKED: Framing = { kind: 'chunked' };
const UNTIL_CLOSE: Framing = { kind: 'until-close' };

/** Digits only, and few enough to be exact: recipients disagree on a length that overflows (RFC 9110 §8.6). */
const LENGTH = /^\d{1,15}$/;

/** RFC 9112 §6.3 for requests. Ambiguous framing is refused: the next recipient might read it differently. */
export function requestFraming(headers: Headers, version: '1.0' | '1.1'): Framing {
  const lengths = valuesOf(headers, 'content-length');
  const codings = valuesOf(headers, 'transfer-encoding');
  if (codings.length === 0) return lengths.length === 0 ? NONE : lengthFraming(lengths, 'bad_request');
  if (version === '1.0') throw fault('bad_request', 'Transfer-Encoding in an HTTP/1.0 request');
  if (lengths.length > 0) throw fault('bad_request', 'both Transfer-Encoding and Content-Length');
  const tokens = tokensOf(headers, 'transfer-encoding');
  const last = tokens.at(-1);
  if (last !== 'chunked' || tokens.indexOf('chunked') !== tokens.length - 1) {
    throw fault('bad_request', 'chunked is not the last transfer coding, or comes twice');
  }
  if (tokens.length > 1) throw fault('not_implemented', 'a transfer coding besides chunked');
  return CHUNKED;
}

/** RFC 9112 §6.3 for the response to a request with `method`. */
export function responseFraming(headers: Headers, status: number, method: string, version: '1.0' | '1.1'): Framing {
  const lengths = valuesOf(headers, 'content-length');
  const codings = tokensOf(headers, 'transfer-encoding');
  // Checked even where no body can follow: two different lengths in a response to HEAD poison a cache behind us.
  const byLength = lengths.length > 0 ? lengthFraming(lengths, 'origin_protocol') : undefined;
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return NONE;
  if (codings.length === 0) return byLength ?? UNTIL_CLOSE;
  const [coding] = codings;
  if (codings.length > 1 || (coding !== 'chunked' && coding !== 'identity')) {
    throw fault('origin_protocol', 'a transfer coding that is not chunked alone');
  }
  // `identity` (RFC 2616 §3.6) is no longer a coding, and HTTP/1.0 has none: with a length beside them it is a guess
  // which one the origin meant. Without a length curl and others read the response so too; its connection closes behind it.
  if (byLength !== undefined && (coding === 'identity' || version === '1.0')) {
    throw fault(
      'origin_protocol',
      `a length beside ${coding === 'identity' ? 'the coding identity' : 'a coding in HTTP/1.0'}`,
    );
  }
  if (coding === 'identity') return UNTIL_CLOSE;
  // Transfer-Encoding overrides Content-Length here (§6.3), and the exchange then closes the connection.
  return CHUNKED;
}

/** Several equal values are one (RFC 9110 §8.6); anything else is faulty. */
function lengthFraming(values: readonly string[], blame: FailureCode): Framing {
  const [only = ''] = values;
  if (values.length === 1 && LENGTH.test(only)) return { kind: 'length', bytes: Number(only) };
  let bytes: number | undefined;
  for (const member of values.join(',').split(',')) {
    const text = trimOws(member);
    if (!LENGTH.test(text)) throw fault(blame, 'Content-Length is not a plain decimal number');
    const value = Number(text);
    if (bytes !== undefined && bytes !== value) throw fault(blame, 'Content-Length has two values');
    bytes = value;
  }
  return { kind: 'length', bytes: bytes ?? 0 };
}
