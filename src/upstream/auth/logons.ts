import type { Clock } from '../../core/clock.ts';
import { unlessAborted } from '../../core/deadline.ts';
import type { StopSignal } from '../../core/stop.ts';

/** How long a logon that was accepted vouches for the next ones. A password changes by day, while requests go on. */
export const TRUSTED_MS = 60_000;
/** How long others wait for the outcome of a logon that goes alone. A tunnel to a slow target is slow to tell. */
const FIRST_WAIT_MS = 10_000;
/** The same where the secret was right before: it most likely still is, and a rejection comes at once. */
const LATER_WAIT_MS = 1_000;

/** Leave to prove who we are. Dispose it when it came to nothing. */
export interface Turn extends Disposable {
  /** `alone`: nobody else does before it is over. `trusted`: the same secret has just been accepted. */
  readonly kind: 'alone' | 'trusted';
  /** Others went first: whatever was opened meanwhile may have been closed again. */
  readonly hasWaited: boolean;
  accepted(): void;
  rejected(): void;
}

/** The logons with one secret at one proxy, wherever it is decided whose turn it is. */
export interface LogonTurns {
  /** It is not sent again. A secret that changes is another one. */
  readonly isRejected: boolean;
  /** Waits until it may be sent. Rejects with the signal's reason. */
  turn(signal: StopSignal): Promise<Turn | 'rejected'>;
}

interface Alone {
  readonly untilMs: number;
  readonly over: Promise<void>;
}

/**
 * The logons with one secret at one proxy. Until it was accepted they go one by one, and the first that is rejected is
 * the last: accounts are locked after three to ten wrong passwords, and a browser alone has six connections.
 */
export class Logons implements LogonTurns {
  readonly #clock: Clock;
  #trustedUntilMs = Number.NEGATIVE_INFINITY;
  #wasAccepted = false;
  #isRejected = false;
  #alone: Alone | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isRejected(): boolean {
    return this.#isRejected;
  }

  /** It was rejected where nobody had to wait for a turn. */
  reject(): void {
    this.#isRejected = true;
  }

  async turn(signal: StopSignal): Promise<Turn | 'rejected'> {
    let hasWaited = false;
    for (;;) {
      if (this.#isRejected) return 'rejected';
      const nowMs = this.#clock.now();
      if (nowMs < this.#trustedUntilMs) return this.#turn('trusted', hasWaited, () => undefined);
      const leftMs = (this.#alone?.untilMs ?? nowMs) - nowMs;
      if (this.#alone === undefined || leftMs <= 0) return this.#goAlone(nowMs, hasWaited);
      hasWaited = true;
      await this.#settled(this.#alone, leftMs, signal);
    }
  }

  #goAlone(nowMs: number, hasWaited: boolean): Turn {
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const alone: Alone = { untilMs: nowMs + (this.#wasAccepted ? LATER_WAIT_MS : FIRST_WAIT_MS), over };
    this.#alone = alone;
    return this.#turn('alone', hasWaited, () => {
      if (this.#alone === alone) this.#alone = undefined;
      resolve();
    });
  }

  #turn(kind: Turn['kind'], hasWaited: boolean, end: () => void): Turn {
    return {
      kind,
      hasWaited,
      accepted: () => {
        this.#wasAccepted = true;
        // One that was sent before the password changed may be answered after a newer one was rejected.
        if (!this.#isRejected) this.#trustedUntilMs = this.#clock.now() + TRUSTED_MS;
        end();
      },
      rejected: () => {
        this.#isRejected = true;
        end();
      },
      [Symbol.dispose]: end,
    };
  }

  async #settled({ over }: Alone, leftMs: number, signal: StopSignal): Promise<void> {
    const { promise: tooLong, resolve } = Promise.withResolvers<void>();
    using _timer = this.#clock.after(leftMs, resolve);
    await unlessAborted(Promise.race([over, tooLong]), signal);
  }
}
