import type { DialScope, Outgoing } from '../core/contracts.ts';
import type { Headers } from '../core/request.ts';
import type { Connection } from '../core/stages.ts';
import { formatAuthority } from '../protocol/authority.ts';
import { printFields, tokensOf, valuesOf } from '../protocol/header-list.ts';
import type { Patience } from './patience.ts';

/** Resolves when the body has been sent; the answer is not waited for, and may come first. */
export function writeRequest(
  connection: Connection,
  target: string,
  outgoing: Outgoing,
  credentials: Headers,
  { id, tap }: DialScope,
  patience: Patience,
): Promise<number> {
  const head = `${outgoing.method} ${target} HTTP/1.1\r\n${printFields(outgoing.headers)}${printFields(credentials)}`;
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

/**
 * Asks a proxy for nothing, about the same target: it answers 407 as it would to the request, and nobody behind it
 * hears of it (RFC 9110 §7.6.2). Some refuse TRACE whoever asks; a HEAD is as empty, and asks no origin for more.
 */
export function writeProbe(
  { wire }: Connection,
  method: 'TRACE' | 'HEAD',
  target: string,
  outgoing: Outgoing,
  credentials: Headers,
  { id, tap }: DialScope,
): void {
  const passed = ['host', 'user-agent', 'via'].flatMap((name) =>
    valuesOf(outgoing.headers, name).map(
      (value) => [name.replace(/(?:^|-)./g, (c) => c.toUpperCase()), value] as const,
    ),
  );
  const fields = printFields([...passed, ['Max-Forwards', '0'], ...credentials]);
  const head = `${method} ${target} HTTP/1.1\r\n${fields}`;
  tap?.({ type: 'wire', id, hop: 'upstream', sent: 'by-us', head });
  wire.stream.write(`${head}\r\n`, 'latin1');
}

/** Origin-form (RFC 9112 §3.2.1): never empty, and the query keeps its place. */
export const originForm = (path: string): string => (path === '' ? '/' : path.startsWith('?') ? `/${path}` : path);

/** Absolute-form (RFC 9112 §3.2.2). `*` has no place in it: the last proxy makes one of a URL without a path (§3.2.4). */
export function absoluteForm({ target, path }: Pick<Outgoing, 'target' | 'path'>): string {
  const authority = formatAuthority(target);
  // As `Host` has it, which a strict parent compares.
  const origin = `http://${target.port === 80 ? authority.slice(0, -':80'.length) : authority}`;
  return path === '*' ? origin : origin + originForm(path);
}
