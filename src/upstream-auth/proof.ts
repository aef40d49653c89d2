import type { Clock } from '../util/clock.ts';
import type { Doubt, LoginAttempt } from './login-attempt.ts';

/** A client that leaves so long after a proof was sent may have left because of it: a wrong password may have been counted. */
const ABANDONED_MS = 1_000;

/** The permission to send one proof in one request, and whether that proof is on its way. */
export class Proof implements Disposable {
  readonly #clock: Clock;
  /** `undefined`: a Kerberos ticket, which no proxy counts as a wrong password and no limiter counts as a login. */
  readonly #attempt: LoginAttempt | undefined;
  /** When it was sent, while it has no response. */
  #sentMs: number | undefined;

  constructor(clock: Clock, attempt: LoginAttempt | undefined) {
    this.#clock = clock;
    this.#attempt = attempt;
  }

  /** The proxy has accepted this secret within the last minute. */
  get isTrusted(): boolean {
    return this.#attempt?.kind === 'trusted';
  }
  /** Other logins went first: a connection that was opened before may have been closed meanwhile. */
  get hasWaited(): boolean {
    return this.#attempt?.hasWaited === true;
  }
  /** The proxy had accepted this secret before this attempt. */
  get wasAccepted(): boolean {
    return this.#attempt?.wasAccepted === true;
  }
  /** The limiter wants the proxy itself to accept the proof before a message to a target carries it. */
  get mustAskProxyFirst(): boolean {
    return this.#attempt?.asksProxyFirst === true;
  }
  /** It was sent and has no response yet. */
  get isPending(): boolean {
    return this.#sentMs !== undefined;
  }
  /** It was sent so long ago that a response should have come. A client that leaves sooner says nothing about the proxy. */
  get isOverdue(): boolean {
    return this.#sentMs !== undefined && this.#clock.now() - this.#sentMs >= ABANDONED_MS;
  }

  sent(): void {
    this.#sentMs = this.#clock.now();
  }

  /** The message that carried it, or an earlier message of the same login, got a response. */
  answered(): void {
    this.#sentMs = undefined;
  }

  accepted(): void {
    this.#attempt?.accepted();
  }

  rejected(): void {
    this.#attempt?.rejected();
  }

  /** It got a response, or none, that neither accepts nor rejects it. `held`: the secret is not sent for a while. */
  doubt(doubt: Doubt): 'again' | 'held' {
    this.#sentMs = undefined;
    return this.#attempt?.doubt(doubt) ?? 'again';
  }

  /** It is not sent, or not sent again in this request. */
  [Symbol.dispose](): void {
    this.#sentMs = undefined;
    this.#attempt?.[Symbol.dispose]();
  }

  /** The request is over, or its client has left: a proof that is overdue counts as one without a response. */
  abandon(): void {
    if (this.isOverdue) this.doubt('silence');
    this[Symbol.dispose]();
  }
}
