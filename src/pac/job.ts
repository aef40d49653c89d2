import type { Clock } from '../core/clock.ts';
import type { StopSignal } from '../core/stop.ts';
import { answerOf, type PacAnswer, type Settled } from './answer.ts';
import type { Fact } from './messages.ts';

export interface PacAsk {
  /** As the script is to see them (script-url.ts). */
  readonly url: string;
  readonly host: string;
  readonly signal: StopSignal;
  /** `lookups`: only calls that ask the network, and alerts. `calls`: all, which costs most of the time of a run. */
  readonly trace: 'calls' | 'lookups';
}

/** A script as the workers know it. */
export interface Known {
  readonly id: number;
  readonly text: string;
  failed: { readonly trouble: string; readonly untilMs: number } | undefined;
  /** Whether its answers have lately taken so short a time that a run which takes long is an exception. */
  isQuick: boolean;
}

interface JobEvents {
  /** Its time is over. */
  expired(job: Job): void;
  /** Whoever asked has gone. */
  abandoned(job: Job): void;
  settled(job: Job): void;
}

/** One evaluation, from the question to its answer: any number of runs, each with more facts than the one before. */
export class Job {
  readonly ask: PacAsk;
  readonly script: Known;
  /** On the proxy's clock. */
  readonly untilMs: number;
  readonly wallMs: number;
  readonly facts = new Map<string, Fact>();
  state: 'queued' | 'given' | 'asking' | 'settled' = 'queued';
  runs = 0;
  /** A run of it held up others and was stopped for them: it goes on when nobody else waits. */
  yields = false;
  /** What it waits for, for the trouble that is told when that takes too long. */
  waitsFor = '';
  readonly answer: Promise<PacAnswer>;
  /** Whether anybody still wants what it asks for. */
  readonly #wanted = new AbortController();
  readonly #clock: Clock;
  #timer: Disposable;
  #settle: (how: Settled) => void = () => undefined;

  constructor(script: Known, ask: PacAsk, deadlineMs: number, clock: Clock, events: JobEvents) {
    this.ask = ask;
    this.script = script;
    const startedMs = clock.now();
    this.untilMs = startedMs + deadlineMs;
    this.wallMs = clock.wallMs();
    this.#clock = clock;
    this.#timer = clock.after(deadlineMs, () => events.expired(this));
    const onAbort = (): void => events.abandoned(this);
    ask.signal.addEventListener('abort', onAbort);
    this.answer = new Promise((resolve) => {
      this.#settle = (how) => {
        this.#timer[Symbol.dispose]();
        ask.signal.removeEventListener('abort', onAbort);
        this.#wanted.abort();
        events.settled(this);
        resolve(answerOf(how, clock.now() - startedMs));
      };
    });
  }

  get signal(): AbortSignal {
    return this.#wanted.signal;
  }

  /** Calls back when its time is over and it has still not been settled by then. */
  grant(graceMs: number, over: () => void): void {
    this.#timer = this.#clock.after(graceMs, over);
  }

  /** The first one counts. */
  settle(how: Settled): void {
    if (this.state === 'settled') return;
    this.state = 'settled';
    this.#settle(how);
  }
}
