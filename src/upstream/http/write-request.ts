import type { DialScope } from '../../contracts/dialing.ts';
import type { OutgoingRequest } from '../../contracts/exchange.ts';
import type { Headers } from '../../contracts/request.ts';
import type { Connection } from '../../contracts/stages.ts';
import { formatAuthority } from '../../protocol/addresses/authority.ts';
import { printFields, tokensOf } from '../../protocol/http1/header-list.ts';
import type { ResponseTimer } from '../response-timer.ts';

/** Resolves when the body has been sent; the response is not waited for, and may come first. */
export function writeRequest(
  connection: Connection,
  target: string,
  outgoing: OutgoingRequest,
  credentials: Headers,
  { id, tap }: DialScope,
  timer: ResponseTimer,
): Promise<number> {
  const head = `${outgoing.method} ${target} HTTP/1.1\r\n${printFields(outgoing.headers)}${printFields(credentials)}`;
  tap?.({ type: 'head', id, hop: 'upstream', sent: 'by-us', head });
  connection.wire.stream.write(`${head}\r\n`, 'latin1');
  if (outgoing.body === undefined) {
    timer.begin();
    return NOTHING_SENT;
  }
  // A client that waits for a 100 sends nothing until it comes: then the origin is the silent one.
  if (tokensOf(outgoing.headers, 'expect').length > 0) timer.begin();
  const sent = outgoing.body.sendTo(connection);
  // A body that breaks off also breaks the connection, and the reader of the response learns of it there.
  sent.then(
    () => timer.begin(),
    (error) => timer.abort(error),
  );
  return sent;
}

const NOTHING_SENT = Promise.resolve(0);

/** Origin-form (RFC 9112 §3.2.1): never empty, and the query keeps its place. */
export const originForm = (path: string): string => (path === '' ? '/' : path.startsWith('?') ? `/${path}` : path);

/** Absolute-form (RFC 9112 §3.2.2). `*` has no place in it: the last proxy makes one of a URL without a path (§3.2.4). */
export function absoluteForm({ target, path }: Pick<OutgoingRequest, 'target' | 'path'>): string {
  const authority = formatAuthority(target);
  // As in `Host`, which a strict proxy compares.
  const origin = `http://${target.port === 80 ? authority.slice(0, -':80'.length) : authority}`;
  return path === '*' ? origin : origin + originForm(path);
}
