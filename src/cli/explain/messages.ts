import type { Duplex } from 'node:stream';
import { responseFraming } from '../../protocol/http1/framing.ts';
import { RESPONSE_HEAD_LIMITS } from '../../protocol/http1/head-buffer.ts';
import { firstOf } from '../../protocol/http1/header-list.ts';
import { parseResponseHead, type ResponseHeadText } from '../../protocol/http1/response-head.ts';
import { maskedLines } from './mask.ts';
import type { ResponseBody, ResponseReader } from './response-reader.ts';
import type { HeadStep } from './steps.ts';
import { tokenPart } from './tokens.ts';
import type { Trace } from './trace.ts';

/** A refusal often has its reason as text. */
export async function readRefusal(
  reader: ResponseReader,
  head: ResponseHeadText,
  method: string,
  trace: Trace,
): Promise<ResponseBody['ended']> {
  // The method is not CONNECT for the framing: a refused CONNECT is answered like anything else (RFC 9110 §9.3.6).
  const framing = responseFraming(head.headers, head.status, method, head.version);
  const { bytes, ended, start } = await reader.readBody(framing);
  const isText = /^text\/plain\b/i.test(firstOf(head.headers, 'content-type') ?? '');
  const text = isText ? start.replace(/\s+/g, ' ').trim() : '';
  trace.add({ kind: 'body', bytes, ended, ...(text === '' ? {} : { text }) });
  return ended;
}

/** Sends a head and records it. */
export function writeHead(
  start: string,
  fields: readonly string[],
  stream: Duplex,
  head: Pick<HeadStep, 'role' | 'through'>,
  trace: Trace,
): void {
  const text = [start, ...fields].join('\r\n');
  trace.add({ kind: 'head', mark: '>', ...head, lines: maskedLines(text), ...tokenPart(text) });
  stream.write(`${text}\r\n\r\n`, 'latin1');
}

/** The final response; interim ones (1xx) before it are recorded and skipped (RFC 9110 §15.2). */
export async function readHead(
  reader: ResponseReader,
  role: 'connect-response' | 'response',
  through: HeadStep['through'],
  trace: Trace,
): Promise<{ head: ResponseHeadText; fields: readonly string[] }> {
  for (;;) {
    const text = await reader.readHead();
    const head = parseResponseHead(text, RESPONSE_HEAD_LIMITS.fieldsMax, 'origin_protocol');
    const lines = maskedLines(text);
    const { status } = head;
    const final = status >= 200 || status === 101;
    trace.add({ kind: 'head', mark: '<', role: final ? role : 'interim', through, lines, status, ...tokenPart(text) });
    if (final) return { head, fields: lines.slice(1) };
  }
}

/** Reads the body of a final response and records how it ended. */
export async function readResponse(
  reader: ResponseReader,
  head: ResponseHeadText,
  method: string,
  through: HeadStep['through'],
  trace: Trace,
): Promise<void> {
  if (through === 'hop' && head.status >= 400) {
    await readRefusal(reader, head, method, trace);
    return;
  }
  const { bytes, ended } = await reader.readBody(responseFraming(head.headers, head.status, method, head.version));
  trace.add({ kind: 'body', bytes, ended });
}
