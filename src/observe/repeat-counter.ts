import type { NoticeLevel } from '../contracts/event.ts';
import type { Clock } from '../util/clock.ts';

/** A message that comes again in this time is counted, not printed. */
const REPEAT_MS = 10_000;
/** Texts that are remembered; beyond this the oldest is reported, and may be printed again. */
const TEXTS_MAX = 256;

interface Counted {
  readonly level: NoticeLevel;
  readonly message: string;
  /** How often it came since it was printed. */
  more: number;
  readonly timer: Disposable;
}

/** Prints a message that repeats once, and after 10 s how often it came. */
export class RepeatCounter implements Disposable {
  readonly #clock: Clock;
  readonly #print: (level: NoticeLevel, message: string) => void;
  readonly #counted = new Map<string, Counted>();

  constructor(clock: Clock, print: (level: NoticeLevel, message: string) => void) {
    this.#clock = clock;
    this.#print = print;
  }

  /** `subject` is what makes two messages the same; the one that came first is printed. */
  report(level: NoticeLevel, message: string, subject: string = message): void {
    const known = this.#counted.get(subject);
    if (known !== undefined) {
      known.more += 1;
      return;
    }
    this.#print(level, message);
    const timer = this.#clock.after(REPEAT_MS, () => this.#end(subject));
    this.#counted.set(subject, { level, message, more: 0, timer });
    const [oldest] = this.#counted.keys();
    if (this.#counted.size > TEXTS_MAX && oldest !== undefined) this.#end(oldest);
  }

  /** Prints what is still only counted. */
  [Symbol.dispose](): void {
    for (const subject of this.#counted.keys()) this.#end(subject);
  }

  #end(subject: string): void {
    const counted = this.#counted.get(subject);
    if (counted === undefined) return;
    const { message } = counted;
    this.#counted.delete(subject);
    counted.timer[Symbol.dispose]();
    const times = counted.more === 1 ? 'once more' : `${counted.more} more times`;
    if (counted.more > 0) this.#print(counted.level, `${message} (${times} within ${REPEAT_MS / 1000} s)`);
  }
}
