import type { DialScope } from '../contracts/dialing.ts';
import type { ProxyError } from '../contracts/failure.ts';
import type { Headers } from '../contracts/request.ts';
import type { Sink } from '../contracts/wire.ts';
import type { ResponseHeadText } from '../protocol/http1/response-head.ts';
import { formatHop } from '../protocol/routes/proxy-url.ts';
import { unexplainedRefusal } from './auth-errors.ts';
import { bindsConnection } from './auth-mechanism.ts';
import {
  acceptsProof,
  challengesIn,
  doubtOf,
  type NextConnection,
  type ResponseWriter,
  type Reusability,
} from './auth-response.ts';
import type { AuthMessage } from './auth-scheme.ts';
import { type AuthState, type ConnectionAuthState, connectionStateIn, UNSTARTED } from './auth-state.ts';
import { CurrentLogin } from './current-login.ts';
import { logsOnConnections } from './proxy-auth-cache.ts';
import { RoundDeadline } from './round-deadline.ts';
import { type AuthSessionDeps, SchemeChoice } from './scheme-choice.ts';

/** Responses of 407 to one request: four mechanisms of at most three each; a proxy that asks on has nothing new to say. */
const ROUNDS_MAX = 12;
/** HTTP/1.1 implies it; proxies of HTTP/1.0 that know NTLM close the connection between its messages without it. */
const KEEP_ALIVE = ['Proxy-Connection', 'keep-alive'] as const;

/** What a session needs of the request that it authenticates. */
export type AuthScope = Pick<DialScope, 'signal' | 'observe' | 'commit'>;

/**
 * The authentication of one request to one upstream proxy, for all schemes. Nothing is sent about us before the proxy has
 * asked, in this request or an earlier one, unless the account says so. This is the contract with its callers
 * (http-proxy.ts and exchange.ts of `upstream/`, by auth-handshake.ts and ask-proxy.ts; `explain`).
 *
 * The caller opens, writes, reads and closes every connection; the session only decides. In this order:
 *
 * 1. `begin()`, before a connection is opened, since it may wait for the logins of other requests. Without it the first
 *    `fieldsFor` does the same.
 * 2. For each message, `fieldsFor(message, stream)` with the stream that the message is about to be written to. If
 *    `mustAskProxyFirst` is true, a question to the proxy (ask-proxy.ts) goes first.
 * 3. For each message exactly one of:
 *    - `onPassed`: a response other than 407. `connectionState` then says who may use the connection next: a `tainted` one
 *      is closed by the caller, an `authenticated` one is pooled for this account alone.
 *    - `onRefused`: a 407 of the proxy itself, whose body the caller has read or given up. The caller sends the message
 *      again over the connection that is returned; for `fresh-connection` it closes the old one, then dials.
 *    - `onNoResponse`: the connection was closed, or what came is no HTTP. The caller closes it. If it dials again and may
 *      repeat the message, it goes on with step 2.
 *    - `unexplainedFailure`: a 407 that a target may have sent, from a proxy that answers no questions.
 * 4. `restart()` before the proxy is asked whose 407 it was, and `onConnectionReplaced()` when a connection on which a
 *    message passed is closed and another is dialled: both forget what was sent, and nothing that was learned.
 * 5. Dispose, once. It gives the permission to log in back, closes no connection, and counts a proof that was sent a
 *    second ago or longer and has no response as a doubt.
 *
 * A call that rejects ends the session (`exhausted`, or the request was aborted): the caller closes its connection, makes
 * no other call than dispose, and passes the error on.
 *
 * | scheme             | messages                  | connection                                                         |
 * |--------------------|---------------------------|--------------------------------------------------------------------|
 * | Basic, Digest      | one; a stale nonce: again | any; `anonymous` all the time                                      |
 * | Kerberos           | one as a rule             | a fresh one; `tainted` until it passed, then `authenticated`       |
 * | NTLM, also in      | two, with a 407 between   | a fresh one, and the same for both; `tainted` until the second has |
 * | Negotiate          |                           | passed, then `authenticated`                                       |
 *
 * A proxy that wants a ticket for each request (RFC 4559 §4 has both) leaves the connection `anonymous`.
 */
export class AuthSession implements Disposable {
  readonly #deps: AuthSessionDeps;
  readonly #within: AuthScope;
  readonly #choice: SchemeChoice;
  readonly #current: CurrentLogin;
  readonly #deadline: RoundDeadline;
  /** Of any state: what passes may have needed no login. */
  #hasPassed = false;
  #rounds = 0;

  /** `authenticated`: on a connection that an earlier session has left so. */
  constructor(deps: AuthSessionDeps, within: AuthScope, connection: 'anonymous' | 'authenticated') {
    this.#deps = deps;
    this.#within = within;
    this.#choice = new SchemeChoice(deps);
    const state: AuthState = connection === 'authenticated' ? { at: connection, login: undefined } : UNSTARTED;
    this.#current = new CurrentLogin(this.#choice, deps.known, within.signal, state);
    this.#deadline = new RoundDeadline(deps.clock);
  }

  get connectionState(): ConnectionAuthState {
    return connectionStateIn(this.#current.state);
  }

  /** How many responses of 407 to this request the proxy itself has sent. */
  get rounds(): number {
    return this.#rounds;
  }

  /** The last message carried credentials, or went over an authenticated connection. */
  get hasIdentified(): boolean {
    return this.#current.login !== undefined || this.#isAuthenticated;
  }

  /** The last message carried, or the next one carries, Basic that the proxy is not known to take. */
  get isUnrequested(): boolean {
    return this.#current.isUnrequested;
  }

  /** The last message got a response other than 407. */
  get hasPassed(): boolean {
    return this.#hasPassed;
  }

  /** The last message was a step of a login and not its last: the proxy has to answer it with 407. */
  get isMidway(): boolean {
    return this.#current.login?.scheme.sentCredentials === false;
  }

  /** Whether the proxy itself must accept the proof before the message of this request may carry it. */
  get mustAskProxyFirst(): boolean {
    const { login, isInDoubt } = this.#current;
    if (login === undefined || this.#hasPassed || !this.canAskProxy) return false;
    return login.proof.mustAskProxyFirst || isInDoubt;
  }

  /** Whether the proxy answers questions about us, so that a 407 which it does not explain comes from a target. */
  get canAskProxy(): boolean {
    return this.#choice.questionSupport === 'can-ask';
  }

  /** Whether a 407 only replaces a nonce of the same realm, and says nothing about the secret. */
  isNonceOld(head: ResponseHeadText): boolean {
    return this.#current.login?.scheme.isNonceOld?.(challengesIn(head)) ?? false;
  }

  /** What is left of the time that all rounds but the last share. */
  roundMs(headMs: number): number {
    return this.#deadline.remainingMs(headMs);
  }

  /** For the response to the message itself: where that is no step of a login, the proxy waits for the target too. */
  responseMs(headMs: number): number {
    return this.isMidway ? this.roundMs(headMs) : headMs;
  }

  /** The proxy, or a target behind it, has responded with 407: no other route may serve this request from now on. */
  commitRoute(): void {
    this.#within.commit?.();
  }

  /** Waits for the permission to send what the proxy is known to want. */
  begin(): Promise<void> {
    return this.#current.begin();
  }

  /** Whether the next message may carry what cannot be sent twice: as far as is known, no 407 answers it. */
  async canSendBody(): Promise<boolean> {
    const { known } = this.#deps;
    if (this.#isAuthenticated || this.#hasPassed || this.#choice.account === undefined) return true;
    const { login } = this.#current;
    if (login !== undefined)
      return login.scheme.isFinalLeg && (login.proof.isTrusted || known.mechanism === 'kerberos');
    // Where we have no credentials nearly every proxy asks for none: the request itself finds out one that does.
    return known.requiresAuth === 'no' || (known.requiresAuth === 'unknown' && !(await this.#choice.hasCredentials()));
  }

  /** The header fields that authenticate the next message. Rejects when no mechanism is left. */
  async fieldsFor(message: AuthMessage, over: Sink): Promise<Headers> {
    await this.#current.begin();
    for (;;) {
      const { state } = this.#current;
      if (state.at === 'exhausted') throw state.failure;
      if (state.at !== 'proving') return [];
      const { login, connection } = state;
      const value = await login.scheme.next(message, over);
      if (typeof value !== 'string') {
        await this.#current.replace(login, value, connection);
        continue;
      }
      if (login.scheme.sentCredentials) login.proof.sent();
      if (!bindsConnection(login.scheme.mechanism)) return [['Proxy-Authorization', value]];
      this.#current.markConnection(login, 'tainted');
      return [['Proxy-Authorization', value], KEEP_ALIVE];
    }
  }

  /**
   * The proxy has let the message through. A status that it may also send for a wrong password accepts nothing, and is a
   * doubt. Rejects when that was a question, and the secret is not sent from now on.
   */
  async onPassed({ headers, status }: ResponseHeadText, writer: ResponseWriter): Promise<void> {
    const { known, hop } = this.#deps;
    const { login, isOnTrial, isUnrequested } = this.#current;
    this.#hasPassed = true;
    if (login === undefined) {
      if (known.requiresAuth === 'unknown') known.requiresAuth = 'no';
      return;
    }
    const { scheme, proof } = login;
    proof.answered();
    // The proxy did not wait for the proof: this request needed none.
    if (!scheme.sentCredentials) return this.#current.release();
    const isSecret = this.#choice.credentialFor(scheme.mechanism) !== undefined;
    if (isSecret && !acceptsProof(status, writer, proof.wasAccepted ? 'accepted-before' : 'new')) {
      return isOnTrial ? this.#current.endTrial() : this.#current.markUnclear(login, doubtOf(status, writer));
    }
    this.#current.accept(login);
    if (writer === 'question') known.questionWorks = true;
    known.mechanism = scheme.mechanism;
    if (!isUnrequested) known.requiresAuth = 'yes';
    const unproved = await scheme.accepted(headers);
    const isAuthenticated = logsOnConnections(scheme.mechanism, known);
    if (unproved === undefined)
      return this.#current.markConnection(login, isAuthenticated ? 'authenticated' : 'anonymous');
    this.#current.markConnection(login, 'tainted');
    this.#warn(`${formatHop(hop)} accepts our ticket and cannot prove its own identity: ${unproved.unavailable}`);
  }

  /** The proxy itself has responded with 407. `fit`: whether its connection can go on. Rejects when no mechanism is left. */
  async onRefused(head: ResponseHeadText, fit: Reusability): Promise<NextConnection> {
    const challenges = challengesIn(head);
    const { known, hop } = this.#deps;
    this.commitRoute();
    known.requiresAuth = 'yes';
    this.#hasPassed = false;
    this.#current.challenged(challenges);
    if (this.#isAuthenticated && known.mechanism === 'kerberos') known.perRequestKerberos = true;
    this.#rounds += 1;
    if (this.#rounds > ROUNDS_MAX) throw this.#current.exhaust();
    const { login } = this.#current;
    if (login?.scheme.sentCredentials && challenges.length === 0) {
      this.#current.recordDoubt(login, 'silence');
      throw unexplainedRefusal(hop);
    }
    const same: NextConnection = fit === 'open' ? 'same-connection' : 'fresh-connection';
    if (login !== undefined) {
      const result = login.scheme.onChallenge(challenges);
      if (result === 'again') return same;
      if (result === 'go-on' && fit !== 'closed') return 'same-connection';
      const news = this.#current.end(login, result);
      if (news !== undefined) this.#warn(news);
    }
    this.#current.leaveConnection();
    const { scheme, proof } = await this.#current.choose('anonymous');
    const startsAnew = bindsConnection(scheme.mechanism);
    return startsAnew || login !== undefined || proof.hasWaited ? 'fresh-connection' : same;
  }

  /**
   * The last message got no response. The proxy may have read a proof in it, which counts as a doubt. Rejects when the
   * secret is not sent from now on. `withdrawn`: the proxy may take nothing unrequested; from now on nothing counts as
   * sent, and the message may go out again without the login.
   */
  async onNoResponse(writer: ResponseWriter): Promise<'sent' | 'withdrawn'> {
    const { login, isOnTrial } = this.#current;
    if (login === undefined) return 'sent';
    if (isOnTrial) {
      this.#current.endTrial();
      return 'withdrawn';
    }
    if (login.proof.isPending) this.#current.recordDoubt(login, writer === 'question' ? 'question-silence' : 'silence');
    // What was started on a connection ends with it.
    if (bindsConnection(login.scheme.mechanism)) this.#current.reopen(login);
    return 'sent';
  }

  /** A 407 that the proxy itself does not explain: it counts as no clear response, where the proxy cannot be asked. */
  unexplainedFailure(): ProxyError {
    const { login } = this.#current;
    if (login?.scheme.sentCredentials) this.#current.recordDoubt(login, 'status');
    return unexplainedRefusal(this.#deps.hop);
  }

  /** The connection on which the message passed is closed: if it was authenticated, the next one must be. */
  async onConnectionReplaced(): Promise<void> {
    if (this.#isAuthenticated) await this.restart();
  }

  /** As if the proxy had not been asked yet in this request. */
  async restart(): Promise<void> {
    this.#hasPassed = false;
    await this.#current.restart();
  }

  [Symbol.dispose](): void {
    const { login, isOnTrial } = this.#current;
    if (isOnTrial && login?.proof.isOverdue) this.#current.endTrial();
    this.#current.login?.proof.abandon();
    this.#current.release();
  }

  get #isAuthenticated(): boolean {
    return this.#current.state.at === 'authenticated';
  }

  #warn(message: string): void {
    this.#within.observe({ type: 'notice', level: 'warn', message });
  }
}
