import type { IncomingMessage } from 'node:http';
import { AdminError, badRequest } from './admin-error.ts';

/** A list of 1,024 ids fits; nothing else comes near. */
const BODY_BYTES_MAX = 64 * 1024;

/** The body of a request; `undefined`: it has none. Throws AdminError. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const { headers } = request;
  const length = Number(headers['content-length'] ?? 0);
  if (headers['transfer-encoding'] === undefined && length === 0) return undefined;
  // A form of another page could send any other type without asking first.
  if (!/^application\/json *(?:;|$)/i.test(headers['content-type'] ?? '')) {
    throw new AdminError(415, 'not_json', 'A body must be JSON; send Content-Type: application/json.');
  }
  if (length > BODY_BYTES_MAX) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw tooLarge();
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw badRequest('The body is not valid JSON.');
  }
}

const tooLarge = (): AdminError =>
  new AdminError(413, 'too_large', `A body may have ${BODY_BYTES_MAX / 1024} KiB.`, { connection: 'close' });

/** A member of a JSON object; `undefined`: the body is none, or has no such member. */
export function member(body: unknown, name: string): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return undefined;
  return Object.entries(body).find(([key]) => key === name)?.[1];
}

/** As `member`, for a text that may be left out. Throws AdminError where it is something else. */
export function textMember(body: unknown, name: string): string | undefined {
  const value = member(body, name);
  if (value === undefined || typeof value === 'string') return value;
  throw badRequest(`"${name}" must be a text.`);
}
