import type { Clock } from '../core/clock.ts';
import { Logons, type Turn } from '../upstream/auth/logons.ts';
import type { LogonAnswer, LogonAsk } from './logon-messages.ts';

/** Proxies times secrets, as in one process: forgetting one means that a wrong password is sent once more. */
const LOGONS_MAX = 4_096;

/** One worker at the desk. Disposing ends its turns. */
export interface LogonBranch extends Disposable {
  hear(message: LogonAsk): void;
}

/**
 * Whose turn it is to prove who we are, over all workers: with a latch in each, a wrong password would be sent as often
 * as there are workers, and accounts are locked after three.
 */
export class LogonDesk {
  readonly #clock: Clock;
  readonly #logons = new Map<string, Logons>();
  readonly #everybody = new Set<(answer: LogonAnswer) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  branch(send: (answer: LogonAnswer) => void): LogonBranch {
    this.#everybody.add(send);
    const turns = new Map<number, Turn>();
    const leaving = new Map<number, AbortController>();
    const take = async (n: number, key: string) => {
      const left = new AbortController();
      leaving.set(n, left);
      try {
        const turn = await this.#of(key).turn(left.signal);
        if (turn === 'rejected') return send({ is: 'turn', n, kind: turn, hasWaited: false });
        turns.set(
          n,
          withLatch(turn, () => this.#latched(key)),
        );
        if (left.signal.aborted) return end(n, 'over');
        send({ is: 'turn', n, kind: turn.kind, hasWaited: turn.hasWaited });
      } catch {
        // It was withdrawn while it waited.
      } finally {
        leaving.delete(n);
      }
    };
    const end = (n: number, how: 'accepted' | 'rejected' | 'over') => {
      leaving.get(n)?.abort();
      const turn = turns.get(n);
      turns.delete(n);
      if (how === 'accepted') turn?.accepted();
      else if (how === 'rejected') turn?.rejected();
      turn?.[Symbol.dispose]();
    };
    return {
      hear: (message) => {
        if (message.is === 'turn') void take(message.n, message.key);
        else if (message.is === 'end') end(message.n, message.how);
        else {
          this.#of(message.key).reject();
          this.#latched(message.key);
        }
      },
      [Symbol.dispose]: () => {
        this.#everybody.delete(send);
        for (const left of leaving.values()) left.abort();
        for (const n of [...turns.keys()]) end(n, 'over');
      },
    };
  }

  #latched(key: string): void {
    for (const send of this.#everybody) send({ is: 'latched', key });
  }

  #of(key: string): Logons {
    const logons = this.#logons.get(key) ?? new Logons(this.#clock);
    this.#logons.delete(key);
    this.#logons.set(key, logons);
    const [oldest] = this.#logons.keys();
    if (this.#logons.size > LOGONS_MAX && oldest !== undefined) this.#logons.delete(oldest);
    return logons;
  }
}

const withLatch = (turn: Turn, latched: () => void): Turn => ({
  kind: turn.kind,
  hasWaited: turn.hasWaited,
  accepted: () => turn.accepted(),
  rejected: () => {
    turn.rejected();
    latched();
  },
  [Symbol.dispose]: () => turn[Symbol.dispose](),
});
