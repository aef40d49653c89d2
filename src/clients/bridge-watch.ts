import type { NoticeLevel } from '../contracts/event.ts';
import type { Clock } from '../util/clock.ts';
import type { Listen } from './options.ts';

/** Containers wait this long for a bridge that has just been made; a look reads three small files. */
const LOOKED_AT_MS = 2_000;

/** Calls `look` from time to time while there are listeners on bridges, which come and go. */
export class BridgeWatch {
  readonly #clock: Clock;
  readonly #look: () => void;
  #timer: Disposable | undefined;

  constructor(clock: Clock, look: () => void) {
    this.#clock = clock;
    this.#look = look;
  }

  /** Instead of what was watched before. Nothing is left to be stopped where none of `wanted` is on a bridge. */
  watch(wanted: readonly Listen[]): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    if (!wanted.some(({ kind }) => kind === 'bridge')) return;
    this.#timer = this.#clock.after(LOOKED_AT_MS, () => {
      this.watch(wanted);
      this.#look();
    });
  }
}

/** Reports once why a bridge cannot be listened on: each look tries again, and would say the same. */
export class BridgeProblem {
  readonly #notice: (level: NoticeLevel, message: string) => void;
  #last: string | undefined;

  constructor(notice: (level: NoticeLevel, message: string) => void) {
    this.#notice = notice;
  }

  report(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    // IPv6 addresses are tentative at first, and cannot be bound then (RFC 4862 section 5.4).
    const isEarly = error instanceof Error && 'code' in error && error.code === 'EADDRNOTAVAIL';
    this.#notice(message === this.#last || isEarly ? 'debug' : 'warn', `${message}; it is tried again every 2 s`);
    this.#last = message;
  }

  clear(): void {
    this.#last = undefined;
  }
}
