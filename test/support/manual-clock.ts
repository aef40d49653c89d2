import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../src/util/clock.ts';

interface Task {
  readonly dueMs: number;
  readonly run: () => void;
}

/** A clock that stands still until a test advances it. `now()` starts at 0; the wall clock at a time of its own. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #wallOffsetMs: number;
  /** In order of their time; those of the same time in the order in which they were asked for. */
  readonly #tasks: Task[] = [];

  constructor(wallMs: number = Date.UTC(2025, 0, 1)) {
    this.#wallOffsetMs = wallMs;
  }

  now(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallOffsetMs + this.#nowMs;
  }

  after(delayMs: number, task: () => void): Disposable {
    const entry: Task = { dueMs: this.#nowMs + Math.max(0, delayMs), run: task };
    let at = this.#tasks.length;
    while (at > 0 && (this.#tasks[at - 1]?.dueMs ?? 0) > entry.dueMs) at--;
    this.#tasks.splice(at, 0, entry);
    return {
      [Symbol.dispose]: () => {
        const found = this.#tasks.indexOf(entry);
        if (found >= 0) this.#tasks.splice(found, 1);
      },
    };
  }

  /** How many tasks wait for their time; 0 means that nothing would keep a timer. */
  get pending(): number {
    return this.#tasks.length;
  }

  /** Moves the wall clock alone, as an administrator or NTP does. */
  setWall(wallMs: number): void {
    this.#wallOffsetMs = wallMs - this.#nowMs;
  }

  /** Lets `ms` pass in which nothing runs, as on a machine that sleeps: what became due is late at the next advance. */
  sleep(ms: number): void {
    this.#nowMs += ms;
  }

  /** Lets `ms` pass; every task that becomes due runs at its time, in order. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    while (this.#runNext(untilMs)) {}
    this.#nowMs = untilMs;
  }

  /** As `advance`, and lets promises settle after each task, so that code that a task resumed may set its next timer. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await nextTurn();
    while (this.#runNext(untilMs)) await nextTurn();
    this.#nowMs = untilMs;
    await nextTurn();
  }

  #runNext(untilMs: number): boolean {
    const [next] = this.#tasks;
    if (!next || next.dueMs > untilMs) return false;
    this.#tasks.shift();
    this.#nowMs = Math.max(this.#nowMs, next.dueMs);
    next.run();
    return true;
  }
}
