import type { OriginReply, Outgoing } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Body } from '../core/request.ts';
import type { Connection, Route } from '../core/stages.ts';
import { BodyReader } from '../protocol/body-reader.ts';
import { responseFraming } from '../protocol/framing.ts';
import { tokensOf, valuesOf } from '../protocol/header-list.ts';
import type { ResponseHead } from '../protocol/response-head.ts';
import type { ReadHead } from './read-head.ts';
import { withEarly } from './with-early.ts';

/** Where an answer came from, and who takes the connection when it may serve another request. */
export interface ReplySource {
  readonly connection: Connection;
  readonly route: Route;
  readonly sent: Promise<number>;
  keep(connection: Connection): void;
}

/** The reply owns the connection from here on. Throws when the head contradicts itself or the request. */
export function receivedReply(source: ReplySource, outgoing: Outgoing, { head, rest }: ReadHead): OriginReply {
  const { connection, route, sent } = source;
  const common = { head, version: head.version, route, address: connection.address, sent } as const;
  if (head.status === 101) {
    checkUpgrade(head, outgoing);
    const upgraded = withEarly(connection, rest);
    return { ...common, body: undefined, upgraded, [Symbol.dispose]: () => connection[Symbol.dispose]() };
  }
  /** What came behind the answer, once that is complete. */
  let behind: Buffer | undefined;
  let isReleased = false;
  const release = () => {
    if (isReleased) return;
    isReleased = true;
    // Bytes behind the answer belong to nobody (RFC 9112 §9.2); an unfinished message cannot be followed by another.
    const mayGoOn =
      behind?.length === 0 && staysOpen(head) && requestIsOut(outgoing) && !isAuthenticated(head, outgoing);
    if (mayGoOn) source.keep(connection);
    else connection[Symbol.dispose]();
  };
  const done = (rest: Buffer) => {
    behind = rest;
    // An origin that answers before it has the whole request may still be reading it.
    if (requestIsOut(outgoing)) release();
  };
  const framing = responseFraming(head.headers, head.status, outgoing.method, head.version);
  let body: Body | undefined;
  if (framing.kind === 'none') done(rest);
  else {
    body = new BodyReader(connection.wire, framing, rest, {
      done,
      truncated: 'response_incomplete',
      broken: 'response_incomplete',
      malformed: 'origin_protocol',
    });
  }
  return { ...common, body, upgraded: undefined, [Symbol.dispose]: release };
}

const requestIsOut = ({ body }: Outgoing): boolean => body === undefined || body.complete;

/** Whether another request may follow on the connection (RFC 9112 §9.3), as far as the head tells. */
function staysOpen(head: ResponseHead): boolean {
  if (head.version === '1.0' || tokensOf(head.headers, 'connection').includes('close')) return false;
  // Both framings in one answer: somebody before us may have split it differently (RFC 9112 §6.3).
  return (
    valuesOf(head.headers, 'transfer-encoding').length === 0 || valuesOf(head.headers, 'content-length').length === 0
  );
}

/** NTLM and Negotiate authenticate the connection, not the request: whoever came next would be that user (RFC 4559 §6). */
const isAuthenticated = (head: ResponseHead, { headers }: Outgoing): boolean =>
  valuesOf(headers, 'authorization').some(isConnectionBound) ||
  valuesOf(head.headers, 'www-authenticate').some(isConnectionBound);
const isConnectionBound = (value: string): boolean => /\b(?:ntlm|negotiate)\b/i.test(value);

/** A 101 must name the protocol that was offered (RFC 9110 §7.8). */
function checkUpgrade(head: ResponseHead, { upgrade }: Outgoing): void {
  const offered = tokensOf(head.headers, 'upgrade');
  if (upgrade === undefined || !offered.includes(upgrade.toLowerCase())) {
    throw new ProxyError('origin_upgrade', `101 to ${offered.join(', ') || 'nothing'}`);
  }
}
