import type { NoticeLevel } from '../contracts/event.ts';
import type { Clock } from '../util/clock.ts';
import type { Listen } from './options.ts';

/** Containers wait this long for a bridge that has just been made; a look asks for the addresses of this machine. */
const LOOKED_AT_MS = 2_000;

/** What is said when other bridges are listened on than before. */
export const followedMessage = (urls: readonly string[]): string =>
  urls.length === 0
    ? 'listening on nothing: there is no bridge any more; it is listened on when there is one'
    : `listening on ${urls.join(', ')}, as the bridges are now`;

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

/** Reports once why bridges cannot be listened on: each look tries again, and would say the same. */
export class BridgeProblems {
  readonly #notice: (level: NoticeLevel, message: string) => void;
  #last: ReadonlySet<string> = new Set();

  constructor(notice: (level: NoticeLevel, message: string) => void) {
    this.#notice = notice;
  }

  /** All that have failed at one look. */
  report(errors: readonly unknown[]): void {
    const messages = new Set<string>();
    for (const error of errors) {
      const message = error instanceof Error ? error.message : String(error);
      messages.add(message);
      // Tentative, see `socketsOf`.
      const isEarly = error instanceof Error && 'code' in error && error.code === 'EADDRNOTAVAIL';
      const level = this.#last.has(message) || isEarly ? 'debug' : 'warn';
      this.#notice(level, `${message}; it is tried again every 2 s`);
    }
    this.#last = messages;
  }
}
