import type { OutgoingHttpHeaders, ServerHttp2Stream, ServerStreamResponseOptions } from 'node:http2';
import type { Headers } from '../../contracts/request.ts';

/** What a message in HTTP/2 must not have (RFC 9113 §8.2.2). */
const OF_A_CONNECTION = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'te',
]);

/** Fields as node:http2 takes them: in lower case, and those of one name together. */
function http2Fields(headers: Headers, which: 'all' | 'first-of-each' = 'all'): OutgoingHttpHeaders {
  const fields: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    if (OF_A_CONNECTION.has(key)) continue;
    const before = fields[key];
    if (before === undefined) fields[key] = value;
    else if (which === 'first-of-each' && key !== 'set-cookie') continue;
    else if (typeof before === 'string') fields[key] = [before, value];
    else before.push(value);
  }
  return fields;
}

export function sendHead(
  stream: ServerHttp2Stream,
  status: number,
  headers: Headers,
  how: ServerStreamResponseOptions,
): void {
  // A response of an origin has its date, and the 200 of a tunnel needs none.
  const options = { ...how, sendDate: false };
  sendFields(headers, (fields) => stream.respond({ ...fields, ':status': status }, options));
}

/**
 * Sends the fields of a head, of an interim response or of trailers. Node throws where a field stands twice that may stand
 * only once: of one that the origin has sent so, the first goes on, as browsers read it.
 */
export function sendFields(headers: Headers, send: (fields: OutgoingHttpHeaders) => void): void {
  try {
    send(http2Fields(headers));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_HTTP2_HEADER_SINGLE_VALUE')) throw error;
    send(http2Fields(headers, 'first-of-each'));
  }
}
