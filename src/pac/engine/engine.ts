import type { Clock } from '../../util/clock.ts';
import type { PacScript } from '../script.ts';
import { evaluationOf, type PacEvaluation } from './evaluation.ts';
import { Job, type PacQuery, type ScriptState } from './job.ts';
import { LOCAL_ADDRESSES, type LocalAddresses } from './local-addresses.ts';
import type { Fact, Outcome } from './messages.ts';
import { Scheduler } from './scheduler.ts';

/** Evaluations that wait for a thread. At 2,000 a second more than this would not be reached within the deadline. */
const QUEUE_MAX = 2000;
/** After its deadline a run has this long to report its calls; then its thread is ended, since nothing else ends it. */
const GRACE_MS = 50;
/** A host for which the script ran into the deadline is not tried again for this long: each try takes a thread. */
const SLOW_MS = 10_000;
const SLOW_HOSTS_MAX = 1000;
/** A script that did not finish loading in time is tried again after this long: the machine may have been busy. */
const RELOAD_MS = 30_000;
/** Evaluations end after this long, waits for DNS and for their turn included. */
export const DEADLINE_MS = 1000;
/**
 * A thread takes a tenth of a second to start, and seconds while a laptop that was switched on starts everything else. That is
 * no time of the script: counted as such, the first requests would fail.
 */
const START_MS_MAX = 10_000;
/** Runs of one evaluation: one more for each name that it may resolve, one for this machine's addresses, one result. */
const RUNS_MAX = 22;

/** What scripts learn from outside, and how long they may take. */
export interface PacWorld {
  /** Addresses of a name, for this client; rejects when it has none. */
  resolve(host: string, signal: AbortSignal, client?: string): Promise<readonly string[]>;
  localAddresses(): Promise<LocalAddresses>;
  readonly clock: Clock;
  /** IANA name of the time zone of scripts. Default: the machine's. */
  readonly zone?: string | undefined;
  /** Default 1 s. */
  readonly deadlineMs?: number;
}

export interface PacEngine extends AsyncDisposable {
  /**
   * Starts a thread and resolves when it is ready. Optional: the first evaluation starts one too, and its time begins when
   * that is ready, or after 10 s. Never rejects.
   */
  start(): Promise<void>;
  /** Never rejects: the caller decides what a failure means. */
  evaluate(script: PacScript, query: PacQuery): Promise<PacEvaluation>;
  /** Names may have other addresses now, and scripts may have computed something with the old ones. */
  networkChanged(): void;
}

const CANCELLED = 'the request that needed the result was cancelled';
const STOPPING = 'the proxy is stopping';
const cannotLoad = (failure: string): string => `the script cannot be loaded: ${failure}`;

export function createPacEngine(world: PacWorld): PacEngine {
  return new Engine(world);
}

/** Decides what the outcome of each run means for its evaluation; threads and order are the scheduler's. */
class Engine implements PacEngine {
  readonly #world: PacWorld;
  readonly #deadlineMs: number;
  readonly #scheduler: Scheduler;
  readonly #unsettled = new Set<Job>();
  /** The script of the last evaluation; its text distinguishes it from others. */
  #script: ScriptState = { id: 0, text: '', failed: undefined, isQuick: false };
  /** Until when hosts are not tried again; those of the current script. */
  readonly #slowHosts = new Map<string, number>();
  /** Evaluations that wait for a thread to start, while there is none that could take them. */
  #beforeStart = 0;
  #isDisposed = false;
  readonly #events = {
    expired: (job: Job): void => this.#expire(job),
    abandoned: (job: Job): void => this.#abandon(job, CANCELLED),
    settled: (job: Job): void => void this.#unsettled.delete(job),
  };

  constructor(world: PacWorld) {
    this.#world = world;
    this.#deadlineMs = world.deadlineMs ?? DEADLINE_MS;
    this.#scheduler = new Scheduler({
      clock: world.clock,
      zone: world.zone,
      ended: (job, phase, outcome) => this.#onOutcome(job, phase, outcome),
      crashed: (job, why) => job.settle({ failure: `the script ended its sandbox: ${why}`, calls: '[]' }),
    });
  }

  evaluate(script: PacScript, query: PacQuery): Promise<PacEvaluation> {
    return this.#scheduler.isReady ? this.#begin(script, query) : this.#beginOnceStarted(script, query);
  }

  /** What is refused is refused at once, and what is not waits for a thread. */
  async #beginOnceStarted(script: PacScript, query: PacQuery): Promise<PacEvaluation> {
    const { clock } = this.#world;
    if (this.#refusal(this.#scriptState(script.text), query, clock.now()) === undefined) {
      const { promise: early, resolve } = Promise.withResolvers<void>();
      this.#beforeStart++;
      query.signal.addEventListener('abort', resolve);
      const timer = clock.after(START_MS_MAX, resolve);
      await Promise.race([this.#scheduler.start(), early]);
      timer[Symbol.dispose]();
      query.signal.removeEventListener('abort', resolve);
      this.#beforeStart--;
    }
    return await this.#begin(script, query);
  }

  #begin(script: PacScript, query: PacQuery): Promise<PacEvaluation> {
    const nowMs = this.#world.clock.now();
    const state = this.#scriptState(script.text);
    const refused = this.#refusal(state, query, nowMs);
    if (refused !== undefined) return Promise.resolve(evaluationOf({ failure: refused, calls: '[]' }, 0));
    const job = new Job(state, query, this.#deadlineMs, this.#world.clock, this.#events);
    this.#unsettled.add(job);
    this.#scheduler.enqueue(job);
    return job.evaluation;
  }

  start(): Promise<void> {
    return this.#scheduler.start();
  }

  networkChanged(): void {
    this.#script.failed = undefined;
    this.#slowHosts.clear();
    this.#scheduler.networkChanged();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    for (const job of this.#unsettled) job.settle({ failure: STOPPING, calls: '[]' });
    await this.#scheduler[Symbol.asyncDispose]();
  }

  #scriptState(text: string): ScriptState {
    if (this.#script.text !== text || this.#script.id === 0) {
      this.#script = { id: this.#script.id + 1, text, failed: undefined, isQuick: false };
      this.#slowHosts.clear();
    }
    return this.#script;
  }

  /** Why an evaluation does not even begin. */
  #refusal(script: ScriptState, query: PacQuery, nowMs: number): string | undefined {
    if (this.#isDisposed) return STOPPING;
    if (query.signal.aborted) return CANCELLED;
    if (script.failed !== undefined && script.failed.untilMs > nowMs) return script.failed.failure;
    const slowUntilMs = this.#slowHosts.get(query.host);
    if (slowUntilMs !== undefined && slowUntilMs > nowMs)
      return `the script took longer than ${this.#deadlineMs} ms for this host a moment ago, and is not run again yet`;
    return this.#scheduler.waiting + this.#beforeStart < QUEUE_MAX
      ? undefined
      : `${QUEUE_MAX} other requests wait for the script`;
  }

  #onOutcome(job: Job, phase: 'load' | 'run', outcome: Outcome): void {
    switch (outcome.at) {
      case 'answered':
        return job.settle(outcome);
      case 'failed':
        if (phase === 'load') this.#cannotLoad(job, outcome.failure, Number.POSITIVE_INFINITY);
        return job.settle({ ...outcome, failure: phase === 'load' ? cannotLoad(outcome.failure) : outcome.failure });
      case 'missing':
        if (job.runs >= RUNS_MAX)
          return job.settle({ failure: 'the script looks up another name in every run', calls: '[]' });
        return void this.#resolveFact(job, outcome.key);
      case 'late':
        return this.#settleLate(job, phase, outcome);
      case 'stopped':
        return job.settle({ failure: CANCELLED, calls: '[]' });
    }
  }

  #cannotLoad(job: Job, failure: string, forMs: number): void {
    job.script.failed = { failure: cannotLoad(failure), untilMs: this.#world.clock.now() + forMs };
  }

  #settleLate(
    job: Job,
    phase: 'load' | 'run',
    { calls, ranMs }: { readonly calls: string; readonly ranMs: number },
  ): void {
    const failure = this.#expiredText();
    // A run that had little time left when it began may be quick the next time.
    const isSlow = ranMs > this.#deadlineMs / 2;
    if (isSlow && phase === 'load') this.#cannotLoad(job, failure, RELOAD_MS);
    else if (isSlow) this.#markSlow(job.query.host);
    job.settle({ failure: phase === 'load' ? cannotLoad(failure) : failure, calls });
  }

  #markSlow(host: string): void {
    if (this.#slowHosts.size >= SLOW_HOSTS_MAX) this.#slowHosts.clear();
    this.#slowHosts.set(host, this.#world.clock.now() + SLOW_MS);
  }

  /** Looks up what the script needs to know, and runs it again. */
  async #resolveFact(job: Job, key: string): Promise<void> {
    job.state = 'resolving';
    job.waitsFor = key === LOCAL_ADDRESSES ? "this machine's addresses" : `the address of ${key}`;
    const startedMs = this.#world.clock.now();
    const { generation } = this.#scheduler;
    const fact = await this.#factFor(key, job);
    if (job.state !== 'resolving') return;
    // A fact about another network by now is left out: the script looks it up again.
    if (generation === this.#scheduler.generation)
      job.facts.set(key, { ...fact, waitedMs: this.#world.clock.now() - startedMs });
    this.#scheduler.resume(job);
  }

  async #factFor(key: string, { signal, query }: Job): Promise<Omit<Fact, 'waitedMs'>> {
    try {
      if (key === LOCAL_ADDRESSES) return await this.#world.localAddresses();
      const all = await this.#world.resolve(key, signal, query.client);
      return { first: all.find((address) => !address.includes(':')), all };
    } catch {
      // The helpers report a name that does not resolve, for whichever reason, as one without addresses.
      return { all: [] };
    }
  }

  #expire(job: Job): void {
    const thread = this.#scheduler.threadRunning(job);
    if (job.state === 'submitted' && thread !== undefined) {
      // The run ends itself about now. Where it cannot, deep in a native function, its thread has to go.
      job.startGrace(GRACE_MS, () => {
        if (!thread.isRunning(job)) return;
        const phase = thread.isWarm(job.script.id) ? 'run' : 'load';
        this.#settleLate(job, phase, { calls: '[]', ranMs: thread.headMs });
        void this.#scheduler.terminate(thread);
      });
      return;
    }
    this.#abandon(job, `${this.#expiredText()}${waitOf(job)}`);
  }

  #abandon(job: Job, failure: string): void {
    const thread = this.#scheduler.threadRunning(job);
    job.settle({ failure, calls: '[]' });
    thread?.stopHead();
  }

  #expiredText(): string {
    return `the script did not answer within ${this.#deadlineMs} ms`;
  }
}

/** What an evaluation waited for until its time was over; nothing for one that had already taken long itself. */
function waitOf(job: Job): string {
  if (job.state === 'resolving') return `: it waited for ${job.waitsFor}`;
  return job.isPreempted ? '' : ': it waited for a thread';
}
