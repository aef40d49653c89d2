import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AdminError } from './admin-error.ts';
import type { Answer } from './routes.ts';
import type { StaticFile } from './static-files.ts';

/**
 * On every response. Nothing is loaded from elsewhere, no other page may frame this one or read a response, and a link from
 * here does not tell where it stood. No field of CORS, ever.
 */
const PROTECTION: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};

export function protect(response: ServerResponse): void {
  for (const [name, value] of Object.entries(PROTECTION)) response.setHeader(name, value);
}

export function sendAnswer(response: ServerResponse, { status, json, fields = {} }: Exclude<Answer, 'written'>): void {
  if (json === undefined) {
    response.writeHead(status, { ...fields, 'cache-control': 'no-store' }).end();
    return;
  }
  sendText(response, status, 'application/json', `${JSON.stringify(json)}\n`, fields);
}

export function sendText(
  response: ServerResponse,
  status: number,
  type: string,
  text: string,
  fields: Readonly<Record<string, string>> = {},
): void {
  response
    .writeHead(status, {
      ...fields,
      'content-type': type,
      'content-length': Buffer.byteLength(text),
      'cache-control': 'no-store',
    })
    .end(text);
}

export function sendError(response: ServerResponse, { status, code, message, fields }: AdminError): void {
  sendAnswer(response, { status, json: { error: { code, message } }, fields });
}

export function sendFile(request: IncomingMessage, response: ServerResponse, file: StaticFile): void {
  const isGzip = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
  const bytes = isGzip ? file.gzipped : file.bytes;
  response
    .writeHead(200, {
      'content-type': file.type,
      'content-length': bytes.length,
      vary: 'accept-encoding',
      ...(isGzip && { 'content-encoding': 'gzip' }),
      'cache-control': file.isImmutable ? 'public, max-age=31536000, immutable' : 'no-cache',
    })
    .end(bytes);
}
