import { type FailureCode, ProxyError } from '../core/failure.ts';
import type { Framing, Headers } from '../core/request.ts';
import { tokensOf, valuesOf } from './header-list.ts';

const NONE: Framing = { kind: 'none' };
const CHUNKED: Framing = { kind: 'chunked' };
const UNTIL_CLOSE: Framing = { kind: 'until-close' };

/** Digits only, and few enough to be exact: a length that overflows somewhere ends somewhere else (RFC 9110 §8.6). */
const LENGTH = /^\d{1,15}$/;

/** RFC 9112 §6.3 for requests. Any doubt is refused: the next recipient might resolve it the other way. */
export function requestFraming(headers: Headers, version: '1.0' | '1.1'): Framing {
  const lengths = valuesOf(headers, 'content-length');
  const codings = valuesOf(headers, 'transfer-encoding');
  if (codings.length === 0) return lengths.length === 0 ? NONE : lengthFraming(lengths, 'bad_request');
  if (version === '1.0') throw new ProxyError('bad_request', 'Transfer-Encoding in an HTTP/1.0 request');
  if (lengths.length > 0) throw new ProxyError('bad_request', 'both Transfer-Encoding and Content-Length');
  const tokens = tokensOf(headers, 'transfer-encoding');
  const last = tokens.at(-1);
  if (last !== 'chunked' || tokens.indexOf('chunked') !== tokens.length - 1) {
    throw new ProxyError('bad_request', 'the last transfer coding is not chunked, once');
  }
  if (tokens.length > 1) throw new ProxyError('not_implemented', 'a transfer coding besides chunked');
  return CHUNKED;
}

/** RFC 9112 §6.3 for the answer to a request with `method`. */
export function responseFraming(headers: Headers, status: number, method: string, version: '1.0' | '1.1'): Framing {
  const lengths = valuesOf(headers, 'content-length');
  const codings = tokensOf(headers, 'transfer-encoding');
  // Checked even where no body can follow: two different lengths in a HEAD answer poison whoever caches it.
  const byLength = lengths.length > 0 ? lengthFraming(lengths, 'origin_protocol') : undefined;
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return NONE;
  if (codings.length === 0) return byLength ?? UNTIL_CLOSE;
  if (codings.length > 1 || codings[0] !== 'chunked' || version === '1.0') {
    throw new ProxyError('origin_protocol', 'a transfer coding that is not chunked alone, in HTTP/1.1');
  }
  // Transfer-Encoding overrides Content-Length here (§6.3), and the exchange then closes the connection.
  return CHUNKED;
}

/** Several equal values are one (RFC 9110 §8.6); anything else is faulty. */
function lengthFraming(values: readonly string[], blame: FailureCode): Framing {
  const [only = ''] = values;
  if (values.length === 1 && LENGTH.test(only)) return { kind: 'length', bytes: Number(only) };
  let bytes: number | undefined;
  for (const member of values.join(',').split(',')) {
    const text = member.trim();
    if (!LENGTH.test(text)) throw new ProxyError(blame, 'Content-Length is not a plain decimal number');
    const value = Number(text);
    if (bytes !== undefined && bytes !== value) throw new ProxyError(blame, 'Content-Length has two values');
    bytes = value;
  }
  return { kind: 'length', bytes: bytes ?? 0 };
}
