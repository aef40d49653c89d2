import { unlessAborted } from '../contracts/deadline.ts';
import type { Clock } from '../util/clock.ts';
import type { StopSignal } from '../util/stop.ts';
import type { Latch } from './latch-file.ts';
import type { Doubt, LoginAttempt, LoginDenial, LoginLimiter, QuestionSupport } from './login-attempt.ts';
import { SecretHold, type SecretHoldDeps } from './secret-hold.ts';

/** How long an accepted login vouches for the next ones. A password changes by day, while requests go on. */
export const TRUSTED_MS = 60_000;
/** After this long without a result a second proof may go: a target may be dead, and the proxy itself is canAsk then. */
const SECOND_AFTER_MS = 1_000;
/** Such a wait is cut into slices: what they are late by shows how long responses may have lain unread on a busy machine. */
const SLICE_MS = 250;
const GRACE_MS_MAX = 4_000;
/** Statuses in a row that a trusted secret gets without once being accepted; then the proxy itself is canAsk. */
export const UNCLEAR_MAX = 3;
/** A secret that so many proxies have rejected is not tried at others: a PAC may name a dozen ports of one cluster. */
const REJECTIONS_MAX = 2;

/** A proof on its way. */
interface PendingProof {
  readonly sinceMs: number;
  readonly over: Promise<void>;
}

/** What is common to all proxies that one secret is sent to. */
export interface SharedLogins {
  readonly rejectedBy: Set<string>;
  /** Proofs to proxies that have not accepted this secret yet. */
  readonly pending: Set<PendingProof>;
}
export const sharedLogins = (): SharedLogins => ({ rejectedBy: new Set(), pending: new Set() });

export interface LoginLimiterDeps extends SecretHoldDeps {
  readonly shared: SharedLogins;
  readonly proxy: string;
  /** What other instances have found out about this secret at this proxy. */
  readonly look?: (() => Promise<Latch | undefined>) | undefined;
}

/**
 * The logins with one secret at one proxy. Until it was accepted at most two proofs are on their way, the second one to the
 * proxy itself, and the first that is rejected is the last: accounts are locked after three to ten wrong passwords, and a
 * browser alone has six connections. A response that neither accepts nor rejects may be to a wrong password too: the next
 * proof goes to the proxy itself, and when that gets no clear response either, the secret is held back for a while.
 */
export class LocalLoginLimiter implements LoginLimiter {
  readonly #clock: Clock;
  readonly #shared: SharedLogins;
  readonly #proxy: string;
  readonly #hold: SecretHold;
  readonly #look: LoginLimiterDeps['look'];
  #trustedUntilMs = Number.NEGATIVE_INFINITY;
  #wasAccepted = false;
  #isInDoubt = false;
  #unclearInRow = 0;
  /** Proofs on their way to a proxy that has accepted this secret before. */
  readonly #pending = new Set<PendingProof>();

  constructor({ shared, proxy, look, ...hold }: LoginLimiterDeps) {
    this.#look = look;
    this.#clock = hold.clock;
    this.#shared = shared;
    this.#proxy = proxy;
    this.#hold = new SecretHold(hold);
  }

  get isRejected(): boolean {
    return this.#hold.isRejected;
  }

  get retryMs(): number | undefined {
    return this.#hold.retryMs;
  }

  /** The proxy has rejected the secret. */
  reject(): void {
    this.#shared.rejectedBy.add(this.#proxy);
    this.#latch('rejected');
  }

  /** A trusted secret got no clear response: it is trusted no more, and the next proof goes to the proxy itself. */
  distrust(): void {
    this.#trustedUntilMs = Number.NEGATIVE_INFINITY;
    this.#isInDoubt = true;
  }

  async acquire(signal: StopSignal, questions: QuestionSupport): Promise<LoginAttempt | LoginDenial> {
    let hasWaited = false;
    let graceMs = 0;
    if (this.#look !== undefined && this.#clock.now() >= this.#trustedUntilMs) this.#hold.adopt(await this.#look());
    for (;;) {
      const nowMs = this.#clock.now();
      const denial = this.#denial(nowMs);
      if (denial !== undefined) return denial;
      if (nowMs < this.#trustedUntilMs) return this.#trusted(hasWaited);
      const canAsk = questions === 'can-ask';
      const pending = this.#wasAccepted ? this.#pending : this.#shared.pending;
      const last = [...pending].at(-1);
      if (last === undefined) return this.#exclusive(pending, { hasWaited, asksProxyFirst: canAsk && this.#isInDoubt });
      // A secret that was right before most likely still is: where the proxy cannot be canAsk, no target holds up others.
      const mayFollow = pending.size === 1 || (this.#wasAccepted && !canAsk);
      const leftMs = mayFollow ? last.sinceMs + SECOND_AFTER_MS + graceMs - nowMs : undefined;
      if (leftMs !== undefined && leftMs <= 0) return this.#exclusive(pending, { hasWaited, asksProxyFirst: canAsk });
      hasWaited = true;
      const sliceMs = leftMs === undefined ? undefined : Math.min(leftMs, SLICE_MS);
      await this.#waitForChange([...pending], sliceMs, signal);
      const lateMs = sliceMs === undefined ? 0 : this.#clock.now() - nowMs - sliceMs;
      if (lateMs > 0) graceMs = Math.min(graceMs + lateMs, GRACE_MS_MAX);
    }
  }

  #denial(nowMs: number): LoginDenial | undefined {
    const { rejectedBy } = this.#shared;
    const isSpent = rejectedBy.size >= REJECTIONS_MAX && !this.#wasAccepted && !rejectedBy.has(this.#proxy);
    return this.#hold.denial(nowMs) ?? (isSpent ? { denied: 'rejected-elsewhere' } : undefined);
  }

  #trusted(hasWaited: boolean): LoginAttempt {
    return {
      kind: 'trusted',
      hasWaited,
      asksProxyFirst: false,
      isInDoubt: false,
      wasAccepted: true,
      accepted: () => this.#accept(),
      rejected: () => this.reject(),
      doubt: (doubt) => {
        // The secret was right a moment ago: such a status is about the target, and so is the next one.
        this.#unclearInRow += 1;
        if (doubt !== 'status' || this.#unclearInRow >= UNCLEAR_MAX) this.distrust();
        return 'again';
      },
      [Symbol.dispose]: () => undefined,
    };
  }

  #exclusive(
    pending: Set<PendingProof>,
    how: { readonly hasWaited: boolean; readonly asksProxyFirst: boolean },
  ): LoginAttempt {
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const own: PendingProof = { sinceMs: this.#clock.now(), over };
    pending.add(own);
    const end = () => {
      pending.delete(own);
      resolve();
    };
    return {
      ...how,
      kind: 'exclusive',
      isInDoubt: this.#isInDoubt || this.#hold.hasBeenHeld,
      wasAccepted: this.#wasAccepted,
      accepted: () => {
        this.#accept();
        end();
      },
      rejected: () => {
        this.reject();
        end();
      },
      doubt: (doubt) => this.#doubt(doubt),
      [Symbol.dispose]: end,
    };
  }

  #accept(): void {
    this.#wasAccepted = true;
    this.#isInDoubt = false;
    this.#unclearInRow = 0;
    if (!this.#hold.accept()) return;
    this.#shared.rejectedBy.delete(this.#proxy);
    this.#trustedUntilMs = this.#clock.now() + TRUSTED_MS;
  }

  #doubt(doubt: Doubt): 'again' | 'held' {
    const isByTarget = doubt === 'status' || doubt === 'silence';
    const isSecond = this.#isInDoubt || this.#hold.hasBeenHeld;
    this.distrust();
    // What a target can cause never holds back a secret that was right before: any web site could.
    if (!isSecond || (isByTarget && this.#wasAccepted)) return 'again';
    this.#isInDoubt = false;
    if (doubt === 'question-silence') this.#latch('held');
    else this.#hold.holdForStatus();
    return 'held';
  }

  #latch(why: 'rejected' | 'held'): void {
    this.#trustedUntilMs = Number.NEGATIVE_INFINITY;
    this.#hold.latch(why);
  }

  async #waitForChange(
    pending: readonly PendingProof[],
    leftMs: number | undefined,
    signal: StopSignal,
  ): Promise<void> {
    const overs = pending.map(({ over }) => over);
    if (leftMs === undefined) return await unlessAborted(Promise.race(overs), signal);
    const { promise: tooLong, resolve } = Promise.withResolvers<void>();
    using _timer = this.#clock.after(leftMs, resolve);
    await unlessAborted(Promise.race([...overs, tooLong]), signal);
  }
}
