/**
 * HTTP/1 messages as a test's client or origin sees them. Written apart from src/protocol on purpose: a codec that
 * checked itself would agree with its own mistakes. It reads leniently, so that what must not arrive is seen if it does.
 */
export interface Message {
  /** Start line and field lines, without the final empty line. */
  readonly head: string;
  readonly startLine: string;
  /** Names in lower case; several lines of one name are joined with `, `. */
  readonly fields: ReadonlyMap<string, string>;
  /** Without its coding. */
  readonly body: Buffer;
  readonly trailers: string;
  readonly complete: boolean;
}

export interface ReadingOptions {
  readonly kind: 'request' | 'response';
  /** For responses: the methods of the requests, in order; HEAD and CONNECT change what a response means. */
  readonly methods?: readonly string[];
  /** Whether the peer has ended: then a body without a length is complete. */
  readonly ended?: boolean;
}

/** All messages in what was received so far; the last one may be incomplete. 1xx responses are left out. */
export function messagesIn(bytes: Buffer, { kind, methods = [], ended = false }: ReadingOptions): Message[] {
  const messages: Message[] = [];
  let from = 0;
  while (from < bytes.length) {
    while (bytes[from] === 13 || bytes[from] === 10) from += 1;
    const end = bytes.indexOf('\r\n\r\n', from);
    if (end < 0) break;
    const head = bytes.toString('latin1', from, end);
    const fields = fieldsOf(head);
    const [startLine = ''] = head.split('\r\n');
    const status = kind === 'response' ? Number(startLine.split(' ')[1]) : 0;
    from = end + 4;
    if (status >= 100 && status < 200 && status !== 101) continue;
    const method = methods[messages.length] ?? 'GET';
    const body = bodyFrom(bytes, from, fields, bodyKind(kind, method, status, fields), ended);
    messages.push({ head, startLine, fields, ...body });
    from = body.end;
  }
  return messages;
}

type BodyKind = 'none' | 'length' | 'chunked' | 'rest';

function bodyKind(kind: ReadingOptions['kind'], method: string, status: number, fields: Message['fields']): BodyKind {
  if (kind === 'response' && (method === 'HEAD' || status === 101 || status === 204 || status === 304)) return 'none';
  // What follows is the tunnel's.
  if (kind === 'response' && method === 'CONNECT' && status < 300) return 'rest';
  if (fields.has('transfer-encoding')) return 'chunked';
  if (fields.has('content-length')) return 'length';
  return kind === 'request' ? 'none' : 'rest';
}

interface ReadBody {
  readonly body: Buffer;
  readonly trailers: string;
  readonly complete: boolean;
  readonly end: number;
}

function bodyFrom(bytes: Buffer, from: number, fields: Message['fields'], kind: BodyKind, ended: boolean): ReadBody {
  if (kind === 'none') return { body: Buffer.alloc(0), trailers: '', complete: true, end: from };
  if (kind === 'rest') return { body: bytes.subarray(from), trailers: '', complete: ended, end: bytes.length };
  if (kind === 'chunked') return chunksFrom(bytes, from);
  const length = Number(fields.get('content-length')?.split(',')[0]);
  const body = bytes.subarray(from, from + length);
  return { body, trailers: '', complete: body.length === length, end: from + body.length };
}

function chunksFrom(bytes: Buffer, from: number): ReadBody {
  const chunks: Buffer[] = [];
  let at = from;
  const done = (complete: boolean, trailers = ''): ReadBody => ({
    body: Buffer.concat(chunks),
    trailers,
    complete,
    end: at,
  });
  while (at < bytes.length) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return done(false);
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (!(size >= 0)) return done(false);
    if (size === 0) {
      const end = bytes.indexOf('\r\n\r\n', lineEnd);
      if (end < 0) return done(false);
      at = end + 4;
      return done(true, bytes.toString('latin1', lineEnd + 2, end));
    }
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
    if (at > bytes.length) {
      at = bytes.length;
      return done(false);
    }
  }
  return done(false);
}

function fieldsOf(head: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of head.split('\r\n').slice(1)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim().toLowerCase();
    const before = fields.get(name);
    const value = line.slice(colon + 1).trim();
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}
