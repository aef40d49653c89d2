import type { Clock } from '../core/clock.ts';
import type { StopSignal } from '../core/stop.ts';
import { type LogonTurns, TRUSTED_MS, type Turn } from '../upstream/auth/logons.ts';
import type { LogonAnswer, LogonAsk } from './logon-messages.ts';

/** Rejected secrets that are remembered here as well, so that nobody has to be asked about them. */
const LATCHED_MAX = 4_096;

/** The logons of a worker: whose turn it is, the primary says. */
export class KeptLogons {
  readonly #clock: Clock;
  readonly #send: (ask: LogonAsk) => void;
  readonly #latched = new Set<string>();
  readonly #asked = new Map<number, (answer: Extract<LogonAnswer, { is: 'turn' }>) => void>();
  #numbers = 0;

  constructor(clock: Clock, send: (ask: LogonAsk) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  hear(answer: LogonAnswer): void {
    if (answer.is === 'latched') this.#latch(answer.key);
    else this.#asked.get(answer.n)?.(answer);
  }

  /** Those with one secret at one proxy. */
  of(key: string): LogonTurns {
    const isRejected = () => this.#latched.has(key);
    let trustedUntilMs = Number.NEGATIVE_INFINITY;
    const trust = () => {
      trustedUntilMs = this.#clock.now() + TRUSTED_MS;
    };
    return {
      get isRejected() {
        return isRejected();
      },
      turn: async (signal) => {
        if (isRejected()) return 'rejected';
        if (this.#clock.now() < trustedUntilMs) {
          const rejected = () => {
            this.#latch(key);
            this.#send({ is: 'reject', key });
          };
          return { kind: 'trusted', hasWaited: false, accepted: trust, rejected, [Symbol.dispose]() {} };
        }
        return await this.#turn(key, signal, trust);
      },
    };
  }

  #turn(key: string, signal: StopSignal, trust: () => void): Promise<Turn | 'rejected'> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const n = ++this.#numbers;
      let isOver = false;
      const end = (how: 'accepted' | 'rejected' | 'over') => {
        if (isOver) return;
        isOver = true;
        this.#send({ is: 'end', n, how });
      };
      const onAbort = () => {
        this.#asked.delete(n);
        end('over');
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort);
      this.#asked.set(n, ({ kind, hasWaited }) => {
        this.#asked.delete(n);
        signal.removeEventListener('abort', onAbort);
        if (kind === 'rejected') {
          this.#latch(key);
          return resolve('rejected');
        }
        resolve({
          kind,
          hasWaited,
          accepted: () => {
            trust();
            end('accepted');
          },
          rejected: () => {
            this.#latch(key);
            end('rejected');
          },
          [Symbol.dispose]: () => end('over'),
        });
      });
      this.#send({ is: 'turn', n, key });
    });
  }

  #latch(key: string): void {
    this.#latched.add(key);
    const [oldest] = this.#latched;
    if (this.#latched.size > LATCHED_MAX && oldest !== undefined) this.#latched.delete(oldest);
  }
}
