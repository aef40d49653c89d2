import type { DialScope, Outgoing } from '../core/contracts.ts';
import type { Connection, Hop } from '../core/stages.ts';
import { formatAuthority } from '../protocol/authority.ts';
import { printFields, tokensOf } from '../protocol/header-list.ts';
import { proxyAuthorization } from './basic.ts';
import type { Patience } from './patience.ts';

/** Resolves when the body has been sent; the answer is not waited for, and may come first. */
export function writeRequest(
  connection: Connection,
  parent: Hop | undefined,
  outgoing: Outgoing,
  { id, tap }: DialScope,
  patience: Patience,
): Promise<number> {
  const head = requestHead(outgoing, parent);
  tap?.({ type: 'wire', id, hop: 'upstream', sent: 'by-us', head });
  connection.wire.stream.write(`${head}\r\n`, 'latin1');
  if (outgoing.body === undefined) {
    patience.begin();
    return NOTHING_SENT;
  }
  // A client that waits for a 100 sends nothing until it comes: then it is the origin that is silent.
  if (tokensOf(outgoing.headers, 'expect').length > 0) patience.begin();
  const sent = outgoing.body.sendTo(connection);
  // A body that breaks off also breaks the connection, and whoever reads the answer learns of it there.
  sent.then(
    () => patience.begin(),
    (error) => patience.giveUp(error),
  );
  return sent;
}

const NOTHING_SENT = Promise.resolve(0);

/** `parent` is the proxy that reads it, if one does. */
function requestHead(outgoing: Outgoing, parent: Hop | undefined): string {
  const target = parent === undefined ? originForm(outgoing.path) : absoluteForm(outgoing);
  const credentials = parent === undefined ? '' : printFields(proxyAuthorization(parent));
  return `${outgoing.method} ${target} HTTP/1.1\r\n${printFields(outgoing.headers)}${credentials}`;
}

/** Origin-form (RFC 9112 §3.2.1): never empty, and the query keeps its place. */
const originForm = (path: string): string => (path === '' ? '/' : path.startsWith('?') ? `/${path}` : path);

/** Absolute-form (RFC 9112 §3.2.2). `*` has no place in it: the last proxy makes one of a URL without a path (§3.2.4). */
function absoluteForm({ target, path }: Outgoing): string {
  const authority = formatAuthority(target);
  // As `Host` has it, which a strict parent compares.
  const origin = `http://${target.port === 80 ? authority.slice(0, -':80'.length) : authority}`;
  return path === '*' ? origin : origin + originForm(path);
}
