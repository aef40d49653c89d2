import { type Clock, sharedNow } from '../../util/clock.ts';
import type { Job } from './job.ts';
import type { Outcome } from './messages.ts';
import { BUSY_MS, WorkerThread } from './worker-thread.ts';

/** A second thread serves the other evaluations while a script is stuck on the first. More would only loop more. */
const THREADS_MAX = 2;
/** How often the scheduler checks whether a run delays others, while any of them wait. */
const SCAN_INTERVAL_MS = 10;
/** A run of a script that is usually quick is stopped in favour of the others after this long. */
const PREEMPT_MS = 15;
/** Runs that a thread is sent ahead, so that it does not wait for the next message. */
const RUNS_AHEAD_MAX = 8;

interface SchedulerOptions {
  readonly clock: Clock;
  /** IANA name of the time zone of scripts. Default: the machine's. */
  readonly zone: string | undefined;
  /** A run ended, of a job that has not been settled meanwhile. The receiver settles the job, or resumes it later. */
  ended(job: Job, phase: 'load' | 'run', outcome: Outcome): void;
  /** The thread of this job's run ended, e.g. since it ran out of memory. */
  crashed(job: Job, why: string): void;
}

/** A thread that is still starting gets one run: the other thread may be free again before it is ready. */
const canTakeRun = ({ isStuck, isReady, length }: WorkerThread<Job>): boolean =>
  !isStuck && length < (isReady ? RUNS_AHEAD_MAX : 1);

/** Divides runs among worker threads: in the order in which they came, except that a run which takes long is overtaken. */
export class Scheduler implements AsyncDisposable {
  readonly #options: SchedulerOptions;
  #threads: WorkerThread<Job>[] = [];
  #queue: Job[] = [];
  /** Jobs whose run was stopped in favour of others. They run again when no other waits. */
  #preempted: Job[] = [];
  #scan: Disposable | undefined;
  #isDisposed = false;
  /** Counts the networks that this machine has been in. */
  generation = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Jobs that wait for a thread. */
  get waiting(): number {
    return this.#queue.length + this.#preempted.length;
  }

  /** Whether a thread has started, and is not stuck. */
  get isReady(): boolean {
    return this.#threads.some(({ isReady, isStuck }) => isReady && !isStuck);
  }

  /** Starts a thread and resolves when it is ready, or cannot be had. Never rejects. */
  async start(): Promise<void> {
    await (this.#threads.find(({ isStuck }) => !isStuck) ?? this.#startThread())?.ready;
  }

  /** Runs the job behind all that wait. */
  enqueue(job: Job): void {
    this.#queue.push(job);
    this.#pump();
  }

  /** Runs the job before all that wait: it has waited already, for a fact. */
  resume(job: Job): void {
    job.state = 'queued';
    this.#queue.unshift(job);
    this.#pump();
  }

  /** What threads remember about names, and what scripts computed with it while they were loaded, holds no longer. */
  networkChanged(): void {
    this.generation++;
    for (const thread of this.#threads) thread.forget(this.generation);
  }

  /** The thread on which a run of this job has begun. */
  threadRunning(job: Job): WorkerThread<Job> | undefined {
    return this.#threads.find((thread) => thread.isRunning(job));
  }

  /** Ends a thread whose run cannot be stopped; its other runs go to another thread. */
  async terminate(thread: WorkerThread<Job>): Promise<void> {
    this.#threads = this.#threads.filter((one) => one !== thread);
    this.#putBack(thread.takeBack());
    this.#pump();
    await thread.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.#scan?.[Symbol.dispose]();
    this.#queue = [];
    this.#preempted = [];
    const threads = this.#threads;
    this.#threads = [];
    await Promise.all(threads.map((thread) => thread.end()));
  }

  /** Sends what waits to threads, as far as they take it. */
  #pump(): void {
    while (this.waiting > 0) {
      const thread = this.#threads.find(canTakeRun) ?? this.#startThread();
      const job = thread && (this.#queue.shift() ?? this.#preempted.shift());
      if (thread === undefined || job === undefined) return;
      if (job.state !== 'queued') continue;
      this.#submit(job, thread);
      this.#scheduleScan();
    }
  }

  #submit(job: Job, thread: WorkerThread<Job>): void {
    job.state = 'submitted';
    job.runs++;
    const { query, wallMs, facts, script } = job;
    const { url, host, trace } = query;
    const untilMs = sharedNow() + (job.untilMs - this.#options.clock.now());
    thread.sendScript(script.id, script.text);
    thread.submit(job, { script: script.id, url, host, wallMs, trace, untilMs, facts, generation: this.generation });
  }

  #startThread(): WorkerThread<Job> | undefined {
    const isFull = this.#threads.length >= THREADS_MAX || this.#threads.some(({ isStuck }) => !isStuck);
    if (this.#isDisposed || isFull) return undefined;
    const thread = this.#newThread();
    if (thread === undefined) return undefined;
    if (this.generation > 0) thread.forget(this.generation);
    this.#threads.push(thread);
    return thread;
  }

  /** `undefined`: the system gives this process no more threads. The next evaluation tries again. */
  #newThread(): WorkerThread<Job> | undefined {
    const { clock, zone } = this.#options;
    try {
      return new WorkerThread<Job>(clock, zone, {
        ended: (job, phase, outcome, ranMs) => this.#onEnded(job, phase, outcome, ranMs),
        crashed: (from, unfinished, why) => this.#onCrash(from, unfinished, why),
      });
    } catch {
      return undefined;
    }
  }

  /** Looks for a run that delays others. One timer, and only while others wait. */
  #scheduleScan(): void {
    if (this.#queue.length === 0 && this.#threads.every(({ length }) => length < 2)) return;
    this.#scan ??= this.#options.clock.after(SCAN_INTERVAL_MS, () => {
      this.#scan = undefined;
      for (const thread of this.#threads) {
        if (thread.isStuck || !thread.isBusy) continue;
        thread.isStuck = true;
        this.#putBack(thread.takeBack());
      }
      this.#preemptSlowRuns();
      this.#pump();
      this.#scheduleScan();
    });
  }

  /**
   * When no thread is free and others wait that would be quick: stops what runs, to run it again behind them. Where a
   * script always takes long this would only waste what it has done.
   */
  #preemptSlowRuns(): void {
    const waits = this.waiting > 0 || this.#threads.some(({ length }) => length > 1);
    if (!waits || this.#threads.some((thread) => thread.isReady && thread.headMs <= PREEMPT_MS)) return;
    for (const thread of this.#threads) {
      const { head } = thread;
      if (head?.state !== 'submitted' || !head.script.isQuick || !thread.isReady || !thread.isWarm(head.script.id))
        continue;
      head.isPreempted = true;
      thread.stopHead();
    }
  }

  /** To the front of the queue, in their order, without those that have been settled meanwhile. */
  #putBack(jobs: readonly Job[]): void {
    const waiting = jobs.filter(({ state }) => state === 'submitted');
    for (const job of waiting) job.state = 'queued';
    this.#queue.unshift(...waiting.filter((job) => !job.isPreempted));
    this.#preempted.unshift(...waiting.filter((job) => job.isPreempted));
  }

  #onEnded(job: Job, phase: 'load' | 'run', outcome: Outcome, ranMs: number): void {
    if (outcome.at === 'answered' && ranMs < PREEMPT_MS) job.script.isQuick = true;
    else if (outcome.at === 'answered' && ranMs > BUSY_MS) job.script.isQuick = false;
    if (job.state === 'submitted') {
      if (outcome.at === 'stopped' && job.isPreempted) {
        job.state = 'queued';
        this.#preempted.push(job);
      } else {
        this.#options.ended(job, phase, outcome);
      }
    }
    this.#pump();
  }

  #onCrash(thread: WorkerThread<Job>, unfinished: readonly Job[], why: string): void {
    this.#threads = this.#threads.filter((one) => one !== thread);
    const [head, ...behind] = unfinished;
    this.#putBack(behind);
    if (head !== undefined) this.#options.crashed(head, why);
    this.#pump();
  }
}
