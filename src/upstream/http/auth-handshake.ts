import { isClosedWithoutResponse, ProxyError } from '../../contracts/failure.ts';
import type { Connection } from '../../contracts/stages.ts';
import type { ResponseHeadText } from '../../protocol/http1/response-head.ts';
import type { NextConnection, ResponseWriter, Reusability } from '../../upstream-auth/auth-response.ts';
import type { AuthSession } from '../../upstream-auth/auth-session.ts';
import type { ResponseTimer } from '../response-timer.ts';
import { withEarly } from '../with-early.ts';
import { drainBody, isWithoutResponseError, PROXY_AUTH_REQUIRED, type ReceivedResponse } from './drain-response.ts';
import type { Occasion } from './question-connection.ts';

/** Connections that end between a challenge and the next message, in one request: NTLM has two such places. */
const REOPENED_MAX = 2;
/** Nonces of one request that other requests have used up; a target that calls them stale could go on for ever. */
const RENEWALS_MAX = 3;
const NOTHING = Buffer.alloc(0);

export interface AuthHandshake<A extends ReceivedResponse> {
  readonly session: AuthSession;
  /** Opens another connection to the same proxy. */
  readonly dialProxy: () => Promise<Connection>;
  /** Instead of a connection that has carried other requests, and that ended before it responded to this one. */
  readonly replaceUsed?: () => Promise<Connection>;
  /** Sends the message with the fields of the session, and reads the head of the final response. */
  readonly send: (connection: Connection) => Promise<A>;
  /** For the body of a 407. */
  readonly timer: () => ResponseTimer;
  /** Asks the proxy about us (ask-proxy.ts). Owns the connection that it is given. */
  readonly askProxy: (connection: Connection, occasion: Occasion) => Promise<Connection>;
  /** Of the responses to the message. */
  readonly writer: ResponseWriter;
  /** Whether the message may have been acted upon and still go out again (RFC 9110 §9.2.2). */
  readonly repeats: 'freely' | 'never';
}

/** How far a handshake is. */
interface Progress {
  connection: Connection;
  /** The message goes over the connection on which the proxy has just responded with 407. */
  followsChallenge: boolean;
  reopened: number;
  /** The proxy itself has let us in, so that the next 407 is not its own. */
  isConfirmed: boolean;
  /** Nonces that were too old and were replaced. */
  renewals: number;
}

/**
 * Sends the message until the response is not 407: on the same connection where the scheme wants that, else on a new
 * one. Owns the connections that it opens and the first one, until it returns one of them.
 */
export async function performAuthHandshake<A extends ReceivedResponse>(
  first: Connection,
  handshake: AuthHandshake<A>,
): Promise<{ readonly connection: Connection; readonly response: A }> {
  const { session } = handshake;
  const at: Progress = {
    connection: first,
    followsChallenge: false,
    reopened: 0,
    isConfirmed: false,
    renewals: 0,
  };
  try {
    await session.begin();
    for (;;) {
      if (session.mustAskProxyFirst) await confirm(at, handshake, 'doubt');
      const response = await sendOrReopen(at, handshake);
      if (response === 'reopened') continue;
      const { head } = response.received;
      if (head.status !== PROXY_AUTH_REQUIRED) {
        await session.onPassed(head, handshake.writer);
        return { connection: at.connection, response };
      }
      session.commitRoute();
      const reusability = await drainRefusal(at, response, handshake);
      if (mayBeFromTarget(at, handshake, head)) await identifyChallenger(at, { head, reusability }, handshake);
      else await move(at, await session.onRefused(head, reusability), handshake);
    }
  } catch (error) {
    at.connection[Symbol.dispose]();
    throw error;
  }
}

/** A 407 that cannot be read to its end is no response: else each next request would send the same proof again. */
async function drainRefusal<A extends ReceivedResponse>(
  { connection }: Progress,
  response: A,
  { session, writer, timer }: AuthHandshake<A>,
): Promise<Reusability> {
  try {
    return await drainBody(connection, response, timer);
  } catch (error) {
    if (isWithoutResponseError(error)) await session.onNoResponse(writer);
    throw error;
  }
}

/**
 * Sends the message; a connection that the proxy closed behind its 407, or at a login that it had not asked for, is
 * replaced by another one.
 */
async function sendOrReopen<A extends ReceivedResponse>(
  at: Progress,
  handshake: AuthHandshake<A>,
): Promise<A | 'reopened'> {
  try {
    return await handshake.send(at.connection);
  } catch (error) {
    if (!isWithoutResponseError(error)) throw error;
    // It was closing already, or is gone: that says nothing about what was sent.
    if (isClosedWithoutResponse(error.code) && at.connection.isUsed && handshake.replaceUsed !== undefined) {
      at.connection[Symbol.dispose]();
      at.connection = { ...(await handshake.replaceUsed()), isUsed: false };
      return 'reopened';
    }
    const login = await handshake.session.onNoResponse(handshake.writer);
    const isWithoutLogin = login === 'withdrawn' && handshake.repeats === 'freely';
    // The proxy may close without announcing it in the 407 (RFC 9112 §9.6): it has not read what was sent then.
    const mayReopen = at.followsChallenge || isWithoutLogin;
    if (!isClosedWithoutResponse(error.code) || !mayReopen || at.reopened >= REOPENED_MAX) throw error;
    at.reopened += 1;
    await move(at, 'fresh-connection', handshake);
    return 'reopened';
  }
}

/** Whether a 407 may come from a target: such a one asks for nothing of ours, and says nothing about a secret. */
function mayBeFromTarget<A extends ReceivedResponse>(
  at: Progress,
  { writer, session }: AuthHandshake<A>,
  head: ResponseHeadText,
): boolean {
  if (writer === 'proxy' || session.isMidway) return false;
  // A proxy whose nonces are good for few uses asks again behind its own question.
  if (!at.isConfirmed || at.renewals === RENEWALS_MAX || !session.isNonceOld(head)) return true;
  at.renewals += 1;
  return false;
}

/** Asks the proxy itself. Rejects when it refuses us, or has let us in already; else the message can go out again. */
async function identifyChallenger<A extends ReceivedResponse>(
  at: Progress,
  { head, reusability }: { readonly head: ResponseHeadText; readonly reusability: Reusability },
  handshake: AuthHandshake<A>,
): Promise<void> {
  const { session } = handshake;
  const { rounds, hasIdentified, connectionState } = session;
  // The proxy asks, and nothing but the request itself shows what it wants.
  if (!session.canAskProxy && !hasIdentified)
    return await move(at, await session.onRefused(head, reusability), handshake);
  if (!session.canAskProxy) throw session.unexplainedFailure();
  if (at.isConfirmed) throw challengedByTarget();
  // Another request may have a newer one by now, which the proxy then accepts at once.
  const wasNonceOld = session.isNonceOld(head);
  // A login on a connection that is authenticated already confuses some proxies.
  const mayStay = reusability === 'open' && connectionState === 'anonymous';
  await move(at, mayStay ? 'same-connection' : 'fresh-connection', handshake);
  await session.restart();
  await confirm(at, handshake, 'refusal');
  // The proxy had nothing to ask, and got no more than came with the message itself: the same 407 would come again.
  if (session.rounds === rounds && session.hasIdentified === hasIdentified && !wasNonceOld) throw challengedByTarget();
}

async function confirm<A extends ReceivedResponse>(
  at: Progress,
  { askProxy }: AuthHandshake<A>,
  why: Occasion['why'],
): Promise<void> {
  at.connection = await askProxy(at.connection, { why, after: at.followsChallenge ? 'challenge' : 'nothing' });
  at.followsChallenge = false;
  at.isConfirmed ||= why === 'refusal';
}

/** Closes a connection before it opens the next: a proxy may limit the connections of one client. */
async function move<A extends ReceivedResponse>(
  at: Progress,
  next: NextConnection,
  { dialProxy }: AuthHandshake<A>,
): Promise<void> {
  at.followsChallenge = next === 'same-connection';
  if (next === 'same-connection') at.connection = withEarly(at.connection, NOTHING);
  else {
    at.connection[Symbol.dispose]();
    at.connection = await dialProxy();
  }
}

/** No origin may respond with 407 (RFC 9110 §15.5.8): passed on, it would make a client send it what is meant for a proxy. */
export const challengedByTarget = (): ProxyError =>
  new ProxyError('origin_protocol', 'the destination responded with 407', {
    clientDetail: 'It responded with 407 (Proxy Authentication Required), which only a proxy may.',
  });
