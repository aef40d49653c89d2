import type { DialScope } from '../../contracts/dialing.ts';
import { isClosedWithoutResponse } from '../../contracts/failure.ts';
import type { Authority, Headers } from '../../contracts/request.ts';
import type { Connection } from '../../contracts/stages.ts';
import { formatAuthority } from '../../protocol/addresses/authority.ts';
import type { HeadLimits } from '../../protocol/http1/head-buffer.ts';
import { printFields } from '../../protocol/http1/header-list.ts';
import type { NextConnection, Reusability } from '../../upstream-auth/auth-response.ts';
import { QUESTION_METHODS, type QuestionMethod } from '../../upstream-auth/proxy-auth-cache.ts';
import { ResponseTimer } from '../response-timer.ts';
import { withEarly } from '../with-early.ts';
import { drainBody, isWithoutResponseError, type ReceivedResponse } from './drain-response.ts';
import { requestProxy } from './proxy-response.ts';
import type { ReceivedHead } from './read-head.ts';
import type { UpstreamProxy } from './upstream-connection.ts';

/** For a response to a question without a proof: the proxy needs no other machine for it. */
const BARE_RESPONSE_MS = 1_500;
/** RFC 6761 §6.4: no name server has it, so that no target can respond in the proxy's place. */
const NO_HOST = 'viaduct.invalid';
/** What CONNECT asks for: many proxies allow no other port. */
const CONNECT_PORT = 443;
const NOTHING = Buffer.alloc(0);

export type QuestionKind = QuestionMethod | 'TRACE of the target';

export interface Question {
  readonly upstreamProxy: UpstreamProxy;
  /** Of the request that this is about. */
  readonly target: Authority;
  /** `User-Agent`, `Via`. */
  readonly fields: Headers;
  readonly within: DialScope;
  readonly limits: HeadLimits;
  /** For a response to a proof, and for all rounds together, in milliseconds. */
  readonly headMs: number;
  /** Opens another connection to the same proxy. */
  readonly dialProxy: () => Promise<Connection>;
}

/**
 * Why the proxy is asked. `body`: the request has a body, which goes out once. `refusal`: a 407 came to the request, and
 * may be a target's. `doubt`: the last proof had no clear response. `after`: whether the connection has just carried a 407.
 */
export interface Occasion {
  readonly why: 'body' | 'refusal' | 'doubt';
  readonly after: 'challenge' | 'nothing';
}

/** The connection that questions go over, one after the other; another one where the proxy closes it. */
export class QuestionConnection implements Disposable {
  connection: Connection;
  /** Questions that got no response. */
  silences = 0;
  /** The last question went over a connection on which the proxy had just responded with 407: it may have been closing. */
  wasClosedBehindChallenge = false;
  readonly #question: Question;
  #followsChallenge: boolean;
  #untried = 0;
  #isAboutTarget = false;

  constructor(connection: Connection, question: Question, after: Occasion['after']) {
    this.connection = connection;
    this.#question = question;
    this.#followsChallenge = after === 'challenge';
  }

  /** The method that is tried next. */
  get untried(): QuestionMethod {
    return QUESTION_METHODS[this.#untried] ?? 'CONNECT';
  }

  /** Before a body a CONNECT would open a tunnel only to learn what the request itself shows. */
  tryNext(why: Occasion['why']): boolean {
    const { known } = this.#question.upstreamProxy.authContext;
    const methods =
      why === 'body' && known.requiresAuth !== 'yes' ? QUESTION_METHODS.length - 1 : QUESTION_METHODS.length;
    this.#untried += 1;
    if (this.#untried < methods) return true;
    if (known.requiresAuth === 'yes') known.questionMethod = 'none';
    return false;
  }

  get isAboutTarget(): boolean {
    return this.#isAboutTarget;
  }

  /** By CONNECT, which no target responds to. */
  askAboutTarget(): true {
    this.#isAboutTarget = true;
    this.#untried = QUESTION_METHODS.indexOf('CONNECT');
    return true;
  }

  /** `closed`: the connection ended without a response. `silent`: there was none in time, or none that is HTTP. */
  async ask(kind: QuestionKind, credentials: 'all' | 'none'): Promise<ReceivedResponse | 'closed' | 'silent'> {
    this.wasClosedBehindChallenge = this.#followsChallenge;
    try {
      const received = await sendQuestion(this.#question, kind, credentials, this.connection);
      return { received, method: methodOf(kind) };
    } catch (error) {
      if (this.#question.within.signal.aborted || !isWithoutResponseError(error)) throw error;
      this.silences += 1;
      return isClosedWithoutResponse(error.code) ? 'closed' : 'silent';
    }
  }

  /** Reads the response to its end. A tunnel that was opened has none, and nothing may follow on its connection. */
  async finish(response: ReceivedResponse): Promise<Reusability> {
    const { within, upstreamProxy, headMs } = this.#question;
    const { status } = response.received.head;
    if (response.method === 'CONNECT' && status < 300) return 'closed';
    const limitMs = upstreamProxy.session.roundMs(headMs);
    return await drainBody(this.connection, response, () => new ResponseTimer(within, limitMs, 'upstream_timeout'));
  }

  async move(to: NextConnection): Promise<void> {
    this.#followsChallenge = to === 'same-connection';
    if (to === 'same-connection') {
      this.connection = withEarly(this.connection, NOTHING);
      return;
    }
    this.connection[Symbol.dispose]();
    this.connection = await this.#question.dialProxy();
  }

  [Symbol.dispose](): void {
    this.connection[Symbol.dispose]();
  }
}

const methodOf = (kind: QuestionKind): QuestionMethod => (kind === 'TRACE of the target' ? 'TRACE' : kind);

async function sendQuestion(
  { upstreamProxy, target, fields, within, limits, headMs }: Question,
  kind: QuestionKind,
  which: 'all' | 'none',
  connection: Connection,
): Promise<ReceivedHead> {
  const { session, hop } = upstreamProxy;
  const method = methodOf(kind);
  const authority = formatAuthority({ host: target.host, port: kind === 'CONNECT' ? CONNECT_PORT : target.port });
  const host = kind === 'TRACE' || kind === 'HEAD' ? NO_HOST : authority;
  const uri = kind === 'CONNECT' ? authority : `http://${host}/`;
  const message = { method, uri, body: 'none' } as const;
  const credentials = which === 'none' ? [] : await session.fieldsFor(message, connection.wire.stream);
  const limit: Headers = method === 'CONNECT' ? [] : [['Max-Forwards', '0']];
  const head = `${method} ${uri} HTTP/1.1\r\n${printFields([['Host', host], ...fields, ...limit, ...credentials])}`;
  const roundMs = session.roundMs(headMs);
  const responseMs = credentials.length > 0 ? roundMs : Math.min(BARE_RESPONSE_MS, roundMs);
  return await requestProxy(connection, { hop, head, within, limits, responseMs });
}
