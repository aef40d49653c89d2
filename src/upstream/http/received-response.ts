import type { ConnectionAuthState, OriginResponse, OutgoingRequest } from '../../contracts/exchange.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Framing, Headers } from '../../contracts/request.ts';
import type { Connection, Route } from '../../contracts/stages.ts';
import {
  hasConnectionChallenge,
  hasConnectionCredentials,
  supportsSessions,
} from '../../protocol/http-auth/connection-auth.ts';
import { BodyReader } from '../../protocol/http1/body-reader.ts';
import { responseFraming } from '../../protocol/http1/framing.ts';
import { tokensOf, valuesOf } from '../../protocol/http1/header-list.ts';
import { Repairs } from '../../protocol/http1/response-fields.ts';
import type { ResponseHeadText } from '../../protocol/http1/response-head.ts';
import { withEarly } from '../with-early.ts';
import { isAuthenticated, markAuthenticated } from './dedicated-connection.ts';
import type { Trust } from './idle-pool.ts';
import type { ReceivedHead } from './read-head.ts';
import { readerOf } from './upstream-connection.ts';

/** Where a response came from, and `keep`, which takes the connection when it may serve another request. */
export interface ResponseSource {
  readonly connection: Connection;
  readonly route: Route;
  readonly sent: Promise<number>;
  keep(trust: Trust): void;
}

/** The response owns the connection from here on. Throws when the head contradicts itself or the request. */
export function receivedResponse(
  source: ResponseSource,
  outgoing: OutgoingRequest,
  { head, rest }: ReceivedHead,
): OriginResponse {
  const { connection, route, sent } = source;
  const wasOwn = isAuthenticated(connection.wire);
  const connectionAuth = connectionAuthOf(source, outgoing, head);
  if (connectionAuth === 'kept') markAuthenticated(connection.wire);
  const endClient = (): void => {
    if (wasOwn) outgoing.originOwner?.endWithOrigin();
  };
  const common = { head, version: head.version, route, address: connection.address, sent, connectionAuth } as const;
  if (head.status === 101) {
    checkUpgrade(head, outgoing);
    const upgraded = withEarly(connection, rest);
    return { ...common, body: undefined, upgraded, [Symbol.dispose]: () => connection[Symbol.dispose]() };
  }
  const framing = responseFraming(head.headers, head.status, outgoing.method, head.version);
  // The origin responds before it can have read all: the rest of the request may become the next one.
  const isEarly = !isRequestSent(outgoing) || connection.wire.stream.writableLength > 0;
  /** What came behind the response, once that is complete. */
  let behind: Buffer | undefined;
  let isReleased = false;
  const repairs = new Repairs();
  const release = () => {
    if (isReleased) return;
    isReleased = true;
    // Bytes behind the response answer no request (RFC 9112 §9.2); an unfinished message cannot be followed by another.
    const isClean = behind?.length === 0 && !repairs.made;
    const isKept = connectionAuth === 'none' || connectionAuth === 'kept';
    const mayGoOn = isClean && !isEarly && isKept && staysOpen(head, framing);
    if (mayGoOn) return source.keep(trustIn(head, framing, outgoing));
    connection[Symbol.dispose]();
    endClient();
  };
  const done = (rest: Buffer) => {
    behind = rest;
    // An origin that responds before it has the whole request may still be reading it.
    if (isRequestSent(outgoing)) release();
  };
  // Before the response to the client begins, so that it can carry `Connection: close`.
  if (!staysOpen(head, framing)) endClient();
  let body: BodyReader | undefined;
  if (framing.kind === 'none') done(rest);
  else {
    body = new BodyReader(connection.wire, framing, rest, {
      done,
      truncated: 'response_incomplete',
      broken: 'response_incomplete',
      malformed: 'origin_protocol',
      repairs,
    });
  }
  return { ...common, body, upgraded: undefined, [Symbol.dispose]: release };
}

const isRequestSent = ({ body }: OutgoingRequest): boolean => body === undefined || body.complete;

/** Whether another request may follow on the connection (RFC 9112 §9.3), as far as the head tells. */
function staysOpen(head: ResponseHeadText, framing: Framing): boolean {
  if (framing.kind === 'until-close') return false;
  if (head.version === '1.0' || tokensOf(head.headers, 'connection').includes('close')) return false;
  const codings = tokensOf(head.headers, 'transfer-encoding');
  if (valuesOf(head.headers, 'transfer-encoding').length === 0) return true;
  // Both framings in one response, or an unknown coding: a proxy before us may have split it differently (RFC 9112 §6.3).
  return codings.length === 1 && codings[0] === 'chunked' && valuesOf(head.headers, 'content-length').length === 0;
}

/**
 * Whether surplus bytes may already be on their way. An origin that ignores the body of a request takes it for the next
 * request; one that announces the length of a body may send it, though there is none (RFC 9112 §6.3).
 */
const trustIn = ({ headers }: ResponseHeadText, framing: Framing, { body }: OutgoingRequest): Trust =>
  body !== undefined || (framing.kind === 'none' && announcesBody(headers)) ? 'doubtful' : 'sure';
const announcesBody = (headers: Headers): boolean =>
  valuesOf(headers, 'transfer-encoding').length > 0 ||
  valuesOf(headers, 'content-length').some((length) => Number(length) !== 0);

/** An upstream proxy has to announce that it keeps such a connection for us alone (RFC 4559 §6). */
function connectionAuthOf(
  { connection, route }: ResponseSource,
  { originOwner, headers }: OutgoingRequest,
  head: ResponseHeadText,
): ConnectionAuthState {
  const wasKept = isAuthenticated(connection.wire);
  if (!wasKept && !hasConnectionChallenge(head.headers) && !hasConnectionCredentials(headers)) return 'none';
  if (originOwner === undefined) return 'no-owner';
  return wasKept || readerOf(route) === undefined || supportsSessions(head.headers) ? 'kept' : 'proxy-cannot';
}

/** A 101 must name the protocol that was offered (RFC 9110 §7.8), and no other: what follows would be of both. */
function checkUpgrade(head: ResponseHeadText, { upgrade }: OutgoingRequest): void {
  const switched = tokensOf(head.headers, 'upgrade');
  if (switched.length === 0 || switched.some((protocol) => protocol !== upgrade?.toLowerCase())) {
    const fault =
      switched.length === 0 ? 'the response 101 names no protocol' : 'the response 101 names another protocol';
    throw new ProxyError('origin_upgrade', `101 to ${switched.join(', ') || 'nothing'}`, { fault });
  }
}
