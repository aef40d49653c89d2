import type { ProxyError } from '../contracts/failure.ts';
import type { Challenge } from '../protocol/http-auth/challenge.ts';
import type { StopSignal } from '../util/stop.ts';
import { bindsConnection, mechanismsOf } from './auth-mechanism.ts';
import type { AuthScheme, ChallengeResult } from './auth-scheme.ts';
import {
  ANONYMOUS,
  type AuthState,
  type ConnectionAuthState,
  type Login,
  loginIn,
  UNSTARTED,
  withoutLogin,
} from './auth-state.ts';
import type { Doubt } from './login-attempt.ts';
import type { ProxyAuthEntry } from './proxy-auth-cache.ts';
import type { SchemeChoice } from './scheme-choice.ts';

/** The login that a session has in use: chooses it, ends it, and remembers for later requests what that has shown. */
export class CurrentLogin {
  readonly #choice: SchemeChoice;
  readonly #known: ProxyAuthEntry;
  readonly #signal: StopSignal;
  #state: AuthState;
  /** A proof of this request got no clear response; the next one is shown to the proxy itself first. */
  #isInDoubt = false;
  /** Of the last 407. */
  #challenges: readonly Challenge[] | undefined;

  constructor(choice: SchemeChoice, known: ProxyAuthEntry, signal: StopSignal, state: AuthState) {
    this.#choice = choice;
    this.#known = known;
    this.#signal = signal;
    this.#state = state;
  }

  get state(): AuthState {
    return this.#state;
  }
  get login(): Login | undefined {
    return loginIn(this.#state);
  }
  get isInDoubt(): boolean {
    return this.#isInDoubt;
  }

  /** Basic in use that the proxy is not known to take. */
  get isUnrequested(): boolean {
    return this.login?.origin === 'unrequested' && this.#known.mechanism !== 'basic';
  }

  /** Basic was sent that the proxy may be unable to take, so that no response says nothing about the password yet. */
  get isOnTrial(): boolean {
    return (
      this.isUnrequested && this.login?.proof.isPending === true && this.#choice.account?.sendsBasic === 'on-trial'
    );
  }

  /** Takes the mechanism that the proxy is known to want, or Basic where the account says so, once. */
  async begin(): Promise<void> {
    if (this.#state.at !== 'unstarted') return;
    this.#state = ANONYMOUS;
    const { account } = this.#choice;
    const wanted = this.#known.mechanism;
    const mechanism = wanted ?? (this.#maySendUnrequested ? 'basic' : undefined);
    if (
      mechanism === undefined ||
      account === undefined ||
      !mechanismsOf(account, this.#choice.systemLogin).includes(mechanism)
    )
      return;
    const scheme = this.#choice.open(mechanism, undefined);
    if ('unavailable' in scheme) return;
    const proof = await this.#choice.acquire(mechanism, this.#signal);
    if (proof === undefined) return;
    const isRequested = wanted !== undefined || this.#known.mechanism === 'basic';
    if (!isRequested && !this.#maySendUnrequested) {
      // The request that went first has learned that nothing is to be sent unrequested, and what is wanted.
      proof[Symbol.dispose]();
      return await this.restart();
    }
    const login: Login = { scheme, proof, origin: isRequested ? 'requested' : 'unrequested' };
    this.#state = { at: 'proving', login, connection: 'anonymous' };
  }

  async restart(): Promise<void> {
    this.release();
    this.#state = UNSTARTED;
    await this.begin();
  }

  /** Takes the strongest mechanism that the last 407 offers and that is not out. Rejects when there is none. */
  async choose(connection: 'anonymous' | 'tainted'): Promise<Login> {
    const challenges = this.#challenges ?? [];
    for (const scheme of this.#choice.offered(challenges)) {
      const proof = await this.#choice.acquire(scheme.mechanism, this.#signal);
      if (proof === undefined) continue;
      const login: Login = { scheme, proof, origin: 'requested' };
      this.#state = { at: 'proving', login, connection };
      this.#judgeTrial(login, challenges);
      return login;
    }
    throw this.exhaust();
  }

  /** The scheme cannot go on; the next one that the last 407 offers is taken, if there was a 407. */
  async replace(
    { scheme }: Login,
    why: { readonly unavailable: string },
    connection: 'anonymous' | 'tainted',
  ): Promise<void> {
    this.#choice.ruleOut(scheme, why);
    this.release();
    if (this.#challenges !== undefined) await this.choose(connection);
  }

  /** The same login from its beginning, on another connection. */
  reopen(login: Login): void {
    const { mechanism } = login.scheme;
    login.scheme[Symbol.dispose]();
    this.#state = { at: 'proving', login, connection: 'anonymous' };
    const scheme = this.#choice.open(mechanism, this.#challenges);
    if (!('unavailable' in scheme))
      this.#state = { at: 'proving', login: { ...login, scheme }, connection: 'anonymous' };
    else {
      this.#choice.ruleOut(login.scheme, scheme);
      this.release();
    }
  }

  /** What the last message of the login has made of its connection. */
  markConnection(login: Login, connection: ConnectionAuthState): void {
    this.#state = connection === 'authenticated' ? { at: connection, login } : { at: 'proving', login, connection };
  }

  /** A message of the login got a response, or none, that neither accepts nor rejects it. */
  markUnclear(login: Login, doubt: Doubt): void {
    this.markConnection(login, bindsConnection(login.scheme.mechanism) ? 'tainted' : 'anonymous');
    this.recordDoubt(login, doubt);
  }

  accept({ proof }: Login): void {
    this.#isInDoubt = false;
    proof.accepted();
  }

  /** Rejects when the secret is not sent from now on, unless the client still gets the response that its request has got. */
  recordDoubt({ scheme, proof }: Login, doubt: Doubt): void {
    const credential = this.#choice.credentialFor(scheme.mechanism);
    if (credential === undefined) return;
    if (doubt === 'question-status' && !this.#known.questionWorks && proof.wasAccepted) {
      // The proxy may forbid such questions to everyone whom it knows: its response says nothing.
      this.#known.questionMethod = 'none';
      return;
    }
    proof.answered();
    // Of two statuses to one request only the first counts: the second may have the same cause.
    if (this.#isInDoubt && doubt === 'status') return;
    const outcome = proof.doubt(doubt);
    this.#isInDoubt = !proof.isTrusted;
    if (outcome === 'again') return;
    this.#choice.ruleOut(scheme, { held: credential, retryMs: undefined });
    this.release();
    if (doubt !== 'status') throw this.exhaust();
  }

  /** The proxy has responded with 407 to what was sent. */
  challenged(challenges: readonly Challenge[]): void {
    if (this.#state.at === 'unstarted') this.#state = ANONYMOUS;
    // The message carried no proof, and the proxy says now what it wants.
    if (this.isUnrequested && this.login?.proof.isPending === false) this.release();
    this.login?.proof.answered();
    this.#challenges = challenges;
  }

  /** The 407 ends the login. Returns what the log should say. */
  end(login: Login, result: Exclude<ChallengeResult, 'again'>): string | undefined {
    const news = this.#outcomeOf(login, result);
    this.release();
    return news;
  }

  /** From now on the connection counts as one that says nothing about us: it is replaced, or carried no login. */
  leaveConnection(): void {
    this.release();
    this.#state = ANONYMOUS;
  }

  endTrial(): void {
    this.#known.preemptiveBasic = 'unanswered';
    this.release();
  }

  release(): void {
    const { login } = this;
    this.#state = withoutLogin(this.#state);
    login?.proof[Symbol.dispose]();
    login?.scheme[Symbol.dispose]();
  }

  /** No mechanism is left. Returns the failure of the request. */
  exhaust(): ProxyError {
    this.release();
    const failure = this.#choice.failure(this.#challenges ?? []);
    this.#state = { at: 'exhausted', failure };
    return failure;
  }

  get #maySendUnrequested(): boolean {
    const { sendsBasic = 'when-asked' } = this.#choice.account ?? {};
    return sendsBasic !== 'when-asked' && this.#known.preemptiveBasic === 'allowed';
  }

  /** A proxy that offers Basic has read the Basic that it left unanswered: the password may have been the reason. */
  #judgeTrial(login: Login, challenges: readonly Challenge[]): void {
    if (this.#known.preemptiveBasic !== 'unanswered') return;
    if (this.#choice.credentialFor(login.scheme.mechanism) === undefined) return;
    this.#known.preemptiveBasic = 'off';
    if (offersBasic(challenges)) this.recordDoubt(login, 'silence');
  }

  #outcomeOf({ scheme, proof }: Login, result: Exclude<ChallengeResult, 'again'>): string | undefined {
    if (this.#wasUnrequested(scheme)) this.#choice.ruleOut(scheme, { unavailable: 'it does not offer that' });
    else if (result === 'rejected') return this.#choice.reject(scheme, proof);
    else if (result === 'go-on')
      this.#choice.ruleOut(scheme, { unavailable: 'it closes the connection in the middle' });
    else this.#choice.ruleOut(scheme, result);
    return undefined;
  }

  /** Whether Basic went out unrequested to a proxy that offers none: it has not judged the password. */
  #wasUnrequested({ mechanism }: AuthScheme): boolean {
    if (mechanism !== 'basic' || this.#known.mechanism === 'basic' || offersBasic(this.#challenges ?? [])) return false;
    this.#known.preemptiveBasic = 'off';
    return true;
  }
}

const offersBasic = (challenges: readonly Challenge[]): boolean => challenges.some(({ scheme }) => scheme === 'basic');
