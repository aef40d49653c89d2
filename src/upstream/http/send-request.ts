import type { DialScope } from '../../contracts/dialing.ts';
import type { OriginResponse, OutgoingRequest } from '../../contracts/exchange.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Headers } from '../../contracts/request.ts';
import type { Connection } from '../../contracts/stages.ts';
import type { HeadLimits } from '../../protocol/http1/head-buffer.ts';
import { valuesOf } from '../../protocol/http1/header-list.ts';
import { formatHop } from '../../protocol/routes/proxy-url.ts';
import type { AuthMessage } from '../../upstream-auth/auth-scheme.ts';
import type { ConnectionAuthState } from '../../upstream-auth/auth-state.ts';
import type { ProxyHealth } from '../health/proxy-health.ts';
import { ResponseTimer } from '../response-timer.ts';
import { askProxy } from './ask-proxy.ts';
import { challengedByTarget, performAuthHandshake } from './auth-handshake.ts';
import { isWithoutResponseError, PROXY_AUTH_REQUIRED, type ReceivedResponse } from './drain-response.ts';
import type { Trust } from './idle-pool.ts';
import type { Question } from './question-connection.ts';
import { type HeadFaults, ORIGIN_FAULTS, PROXY_FAULTS, type ReceivedHead, readHead } from './read-head.ts';
import { receivedResponse } from './received-response.ts';
import { UpstreamConnection, type UpstreamProxy } from './upstream-connection.ts';
import { absoluteForm, originForm, writeRequest } from './write-request.ts';

/** Interim responses before the final one; an origin that sends more only keeps the client waiting. */
const INTERIM_MAX = 32;

/** Of a proxy that reads the request itself: a head that is too large was made by the origin behind it. */
const READER_FAULTS: HeadFaults = { ...PROXY_FAULTS, tooLarge: ORIGIN_FAULTS.tooLarge };

export interface SendOptions {
  readonly health: ProxyHealth;
  readonly limits: HeadLimits;
  readonly headMs: number;
  /** Takes a connection that may serve another request. */
  readonly keep: (connection: Connection, connectionState: ConnectionAuthState, trust: Trust) => void;
  /** Opens another connection to the same proxy. */
  readonly dialProxy: () => Promise<Connection>;
  /** Whether the request may be sent twice to one recipient. */
  readonly repeats: 'freely' | 'never';
}

interface SentResponse extends ReceivedResponse {
  readonly sent: Promise<number>;
}

/** One request over one connection, with what its proxy needs for authentication. Owns the connection until the response does. */
export async function sendRequest(
  upstream: UpstreamConnection,
  outgoing: OutgoingRequest,
  within: DialScope,
  options: SendOptions,
): Promise<OriginResponse> {
  const { upstreamProxy } = upstream;
  const respond = (connection: Connection, { received, sent }: SentResponse): OriginResponse => {
    const connectionState = upstreamProxy?.session.connectionState ?? 'anonymous';
    const keep = (trust: Trust) => options.keep(connection, connectionState, trust);
    return receivedResponse({ connection, route: upstream.route, sent, keep }, outgoing, received);
  };
  const send = (on: Connection): Promise<SentResponse> => sendOnce(on, upstream, outgoing, within, options);
  if (upstreamProxy !== undefined && outgoing.body === undefined) {
    const { connection, response } = await performAuthHandshake(upstream.connection, {
      session: upstreamProxy.session,
      dialProxy: options.dialProxy,
      send,
      writer: 'proxy-or-target',
      repeats: options.repeats,
      askProxy: (on, occasion) => askProxy(on, questionOf(upstreamProxy, outgoing, within, options), occasion),
      timer: () => new ResponseTimer(within, upstreamProxy.session.roundMs(options.headMs), 'upstream_timeout'),
    });
    return respondOrClose(connection, () => respond(connection, response));
  }
  let response: SentResponse | undefined;
  try {
    response = await send(upstream.connection);
    if (response.received.head.status === PROXY_AUTH_REQUIRED)
      await rejectSentBody(response, upstreamProxy, outgoing, within, options);
    else if (upstreamProxy !== undefined)
      await upstreamProxy.session.onPassed(response.received.head, 'proxy-or-target');
    return respond(upstream.connection, response);
  } catch (error) {
    upstream.connection[Symbol.dispose]();
    // Otherwise each next request would try the same password again.
    if (response === undefined && upstreamProxy?.session.isUnrequested && isWithoutResponseError(error))
      await upstreamProxy.session.onNoResponse('proxy-or-target');
    throw error;
  }
}

/** A body is sent once, and lost with a 407: what the proxy itself answers to a question then is for the next request. */
async function rejectSentBody(
  { sent }: SentResponse,
  upstreamProxy: UpstreamProxy | undefined,
  outgoing: OutgoingRequest,
  within: DialScope,
  options: SendOptions,
): Promise<never> {
  sent.catch(() => undefined);
  if (upstreamProxy === undefined) throw challengedByTarget();
  const { hop, session } = upstreamProxy;
  session.commitRoute();
  const { rounds, hasIdentified } = session;
  await session.restart();
  const question = questionOf(upstreamProxy, outgoing, within, options);
  using _connection = await askProxy(await options.dialProxy(), question, { why: 'refusal', after: 'nothing' });
  if (!session.canAskProxy) throw session.unexplainedFailure();
  if (session.rounds === rounds && session.hasIdentified === hasIdentified) throw challengedByTarget();
  const message = `${formatHop(hop)} required authentication after the body had been sent; send the request again.`;
  throw new ProxyError('upstream_auth_failed', message, { clientDetail: message });
}

/**
 * Asks a proxy about us, with empty messages that it answers itself, until the next message may carry a body. Returns the
 * connection on which that is so. Owns the connection.
 */
export async function authenticateBeforeBody(
  upstream: UpstreamConnection,
  outgoing: OutgoingRequest,
  within: DialScope,
  options: SendOptions,
): Promise<UpstreamConnection> {
  const { upstreamProxy } = upstream;
  if (upstreamProxy === undefined) return upstream;
  const question = questionOf(upstreamProxy, outgoing, within, options);
  const connection = await askProxy(upstream.connection, question, { why: 'body', after: 'nothing' });
  return new UpstreamConnection(upstream.route, connection, upstreamProxy, upstream.epoch);
}

function questionOf(
  upstreamProxy: UpstreamProxy,
  outgoing: OutgoingRequest,
  within: DialScope,
  options: SendOptions,
): Question {
  const { target, headers } = outgoing;
  const { limits, headMs, dialProxy } = options;
  const fields = (['User-Agent', 'Via'] as const).flatMap((name) =>
    valuesOf(headers, name.toLowerCase()).map((value) => [name, value] as const),
  );
  return { upstreamProxy: upstreamProxy, target, fields, within, limits, headMs, dialProxy };
}

async function sendOnce(
  connection: Connection,
  upstream: UpstreamConnection,
  outgoing: OutgoingRequest,
  within: DialScope,
  options: SendOptions,
): Promise<SentResponse> {
  const { method, body } = outgoing;
  const target = upstream.upstreamProxy === undefined ? originForm(outgoing.path) : absoluteForm(outgoing);
  const message: AuthMessage = { method, uri: target, body: body === undefined ? 'none' : 'some' };
  const { upstreamProxy } = upstream;
  const credentials =
    upstreamProxy === undefined ? NO_FIELDS : await upstreamProxy.session.fieldsFor(message, connection.wire.stream);
  const timer = timerFor(upstream, within, options);
  // Not `using`: for Node 22 that is compiled to a list of resources and three closures.
  try {
    const sent = writeRequest(connection, target, outgoing, credentials, within, timer);
    const received = await finalHead(connection, upstream, outgoing, within, options, timer);
    return { received, method, sent };
  } finally {
    timer[Symbol.dispose]();
  }
}

const NO_FIELDS: Headers = [];

async function finalHead(
  connection: Connection,
  { route, upstreamProxy }: UpstreamConnection,
  outgoing: OutgoingRequest,
  { id, tap }: DialScope,
  { health, limits }: SendOptions,
  timer: ResponseTimer,
): Promise<ReceivedHead> {
  const faults = upstreamProxy === undefined ? ORIGIN_FAULTS : READER_FAULTS;
  let rest = connection.early;
  for (let seen = 0; seen <= INTERIM_MAX; seen++) {
    const read = await readHead(connection.wire, rest, limits, faults, timer);
    tap?.({ type: 'head', id, hop: 'upstream', sent: 'by-peer', head: read.text });
    if (read.head.status >= 200 || read.head.status === 101) {
      // Not before: a proxy that sends no more than 100 is of no use, and another route may work.
      if (route.via === 'proxies') health.responded(route.hops);
      return read;
    }
    await passInterim(read.head, outgoing, timer);
    ({ rest } = read);
  }
  throw new ProxyError('origin_protocol', `more than ${INTERIM_MAX} interim responses`);
}

async function passInterim(
  head: ReceivedHead['head'],
  { body, sendInterim }: OutgoingRequest,
  timer: ResponseTimer,
): Promise<void> {
  const passedOn = sendInterim(head);
  if (passedOn !== undefined || (body !== undefined && !body.complete)) timer.pause();
  await passedOn;
  if (passedOn !== undefined && (body === undefined || body.complete)) timer.begin();
}

const timerFor = ({ upstreamProxy }: UpstreamConnection, within: DialScope, { headMs }: SendOptions): ResponseTimer =>
  upstreamProxy === undefined
    ? new ResponseTimer(within, headMs, 'origin_timeout')
    : new ResponseTimer(within, upstreamProxy.session.responseMs(headMs), 'upstream_timeout');

/** Disposes the connection when the head of the response contradicts itself or the request. */
function respondOrClose(connection: Connection, respond: () => OriginResponse): OriginResponse {
  try {
    return respond();
  } catch (error) {
    connection[Symbol.dispose]();
    throw error;
  }
}
