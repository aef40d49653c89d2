import type { Clock } from '../core/clock.ts';
import { answerOf, type PacAnswer } from './answer.ts';
import { Job, type Known, type PacAsk } from './job.ts';
import { BUSY_MS, Lane } from './lane.ts';
import type { Fact, Outcome } from './messages.ts';
import { OWN_ADDRESSES, type OwnAddresses } from './own-addresses.ts';
import type { PacScript } from './script.ts';

/** Threads: a second one goes on with the others while a script is stuck on the first. More would only loop more. */
const LANES_MAX = 2;
/** How often it is looked whether a run holds up others, while there are any. */
const LOOK_MS = 10;
/** A run of a script that is usually quick makes room for others after this long. */
const YIELD_MS = 15;
/** Runs that a lane is given ahead, so that it need not wait for the next. */
const GIVEN_MAX = 8;
/** Evaluations that wait for a thread. At 2,000 a second more than this would not be reached within the deadline. */
const QUEUE_MAX = 2000;
/** After its deadline a run may still say what it has called; then its thread is ended, since nothing else ends it. */
const GRACE_MS = 50;
/** A host for which the script ran into the deadline is not tried again for this long: each try takes a thread. */
const SLOW_MS = 10_000;
const SLOW_MAX = 1000;
/** A script that did not finish loading in time is tried again after this long: the machine may have been busy. */
const RELOAD_MS = 30_000;
/** Evaluations end after this long, waits for DNS and for their turn included. */
export const DEADLINE_MS = 1000;
/** Runs of one evaluation: one more for each name that it may resolve, one for this machine's addresses, one answer. */
const RUNS_MAX = 22;

/** What scripts learn from outside, and how long they may take. */
export interface PacWorld {
  /** Addresses of a name; rejects when it has none. */
  resolve(host: string, signal: AbortSignal): Promise<readonly string[]>;
  /** This machine's own addresses. */
  ownAddresses(): Promise<OwnAddresses>;
  readonly clock: Clock;
  /** IANA name of the time zone of scripts. Default: the machine's. */
  readonly zone?: string | undefined;
  /** Default 1 s. */
  readonly deadlineMs?: number;
}

export interface PacEngine extends AsyncDisposable {
  /**
   * Starts a thread and resolves when it runs. Nobody has to: the first evaluation starts it too, and then waits for it
   * within its own time. Never rejects.
   */
  start(): Promise<void>;
  /** Never rejects: who asks decides what a failure means. */
  evaluate(script: PacScript, ask: PacAsk): Promise<PacAnswer>;
  /** Names may have other addresses now, and scripts may have computed something with the old ones. */
  networkChanged(): void;
}

/** One that is being started gets no more than it will begin with: another may be free again before it runs. */
const hasRoom = ({ isStuck, isReady, length }: Lane<Job>): boolean => !isStuck && length < (isReady ? GIVEN_MAX : 1);

const NOBODY_WAITS = 'nobody waits for the answer any more';
const cannotLoad = (trouble: string): string => `the script cannot be loaded: ${trouble}`;

export function createPacEngine(world: PacWorld): PacEngine {
  return new Engine(world);
}

class Engine implements PacEngine {
  readonly #world: PacWorld;
  readonly #deadlineMs: number;
  #lanes: Lane<Job>[] = [];
  #queue: Job[] = [];
  /** Those that have been stopped for others. */
  #later: Job[] = [];
  readonly #open = new Set<Job>();
  /** The script that was asked last; its text tells it from others. */
  #known: Known = { id: 0, text: '', failed: undefined, isQuick: false };
  /** Until when hosts are not tried again; those of the current script. */
  readonly #slow = new Map<string, number>();
  #generation = 0;
  #watch: Disposable | undefined;
  #isOver = false;
  readonly #events = {
    expired: (job: Job): void => this.#expire(job),
    abandoned: (job: Job): void => this.#giveUp(job, NOBODY_WAITS),
    settled: (job: Job): void => void this.#open.delete(job),
  };

  constructor(world: PacWorld) {
    this.#world = world;
    this.#deadlineMs = world.deadlineMs ?? DEADLINE_MS;
  }

  evaluate(script: PacScript, ask: PacAsk): Promise<PacAnswer> {
    const nowMs = this.#world.clock.now();
    const known = this.#know(script.text);
    const refused = this.#refusal(known, ask, nowMs);
    if (refused !== undefined) return Promise.resolve(answerOf({ trouble: refused, calls: '[]' }, 0));
    const job = new Job(known, ask, this.#deadlineMs, this.#world.clock, this.#events);
    this.#open.add(job);
    this.#queue.push(job);
    this.#pump();
    return job.answer;
  }

  async start(): Promise<void> {
    await (this.#lanes[0] ?? this.#anotherLane())?.ready;
  }

  networkChanged(): void {
    this.#generation++;
    this.#known.failed = undefined;
    this.#slow.clear();
    for (const lane of this.#lanes) lane.forget(this.#generation);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#watch?.[Symbol.dispose]();
    this.#queue = [];
    this.#later = [];
    for (const job of this.#open) job.settle({ trouble: 'the proxy stops', calls: '[]' });
    const lanes = this.#lanes;
    this.#lanes = [];
    await Promise.all(lanes.map((lane) => lane.end()));
  }

  #know(text: string): Known {
    if (this.#known.text !== text || this.#known.id === 0) {
      this.#known = { id: this.#known.id + 1, text, failed: undefined, isQuick: false };
      this.#slow.clear();
    }
    return this.#known;
  }

  /** Why it is not even tried. */
  #refusal(script: Known, ask: PacAsk, nowMs: number): string | undefined {
    if (this.#isOver) return 'the proxy stops';
    if (ask.signal.aborted) return NOBODY_WAITS;
    if (script.failed !== undefined && script.failed.untilMs > nowMs) return script.failed.trouble;
    const slowUntilMs = this.#slow.get(ask.host);
    if (slowUntilMs !== undefined && slowUntilMs > nowMs)
      return `the script took longer than ${this.#deadlineMs} ms for this host a moment ago, and is not asked again yet`;
    return this.#queue.length + this.#later.length < QUEUE_MAX
      ? undefined
      : `${QUEUE_MAX} other requests wait for the script`;
  }

  /** Gives out what waits, as far as there are threads for it. */
  #pump(): void {
    while (this.#queue.length + this.#later.length > 0) {
      const lane = this.#lanes.find(hasRoom) ?? this.#anotherLane();
      const job = lane && (this.#queue.shift() ?? this.#later.shift());
      if (lane === undefined || job === undefined) return;
      if (job.state !== 'queued') continue;
      const nowMs = performance.now();
      job.state = 'given';
      job.runs++;
      lane.teach(job.script.id, job.script.text);
      const untilMs = performance.timeOrigin + nowMs + (job.untilMs - this.#world.clock.now());
      const { ask, wallMs, facts } = job;
      const { url, host, trace } = ask;
      const script = job.script.id;
      lane.give(job, { script, url, host, wallMs, trace, untilMs, facts, generation: this.#generation }, nowMs);
      this.#watchLanes();
    }
  }

  #anotherLane(): Lane<Job> | undefined {
    if (this.#isOver || this.#lanes.length >= LANES_MAX || this.#lanes.some(({ isStuck }) => !isStuck))
      return undefined;
    const lane = new Lane<Job>(this.#world.zone, {
      ended: (job, phase, outcome, ranMs) => this.#ended(job, phase, outcome, ranMs),
      lost: (from, left, why) => this.#lost(from, left, why),
    });
    if (this.#generation > 0) lane.forget(this.#generation);
    this.#lanes.push(lane);
    return lane;
  }

  /** Looks for a run that others should not wait for. One timer, and only while others wait. */
  #watchLanes(): void {
    if (this.#queue.length === 0 && this.#lanes.every(({ length }) => length < 2)) return;
    this.#watch ??= this.#world.clock.after(LOOK_MS, () => {
      this.#watch = undefined;
      const nowMs = performance.now();
      for (const lane of this.#lanes) {
        if (lane.isStuck || !lane.isBusy(nowMs)) continue;
        lane.isStuck = true;
        this.#putBack(lane.takeBack());
      }
      this.#makeRoom(nowMs);
      this.#pump();
      this.#watchLanes();
    });
  }

  /**
   * No thread is free, and somebody waits who would not take long: what runs is stopped, and goes on when its turn comes
   * again. Where a script always takes long this would only waste what has been done.
   */
  #makeRoom(nowMs: number): void {
    const waits = this.#queue.length + this.#later.length > 0 || this.#lanes.some(({ length }) => length > 1);
    if (!waits || this.#lanes.some((lane) => lane.isReady && lane.headMs(nowMs) <= YIELD_MS)) return;
    for (const lane of this.#lanes) {
      const { head } = lane;
      if (head?.state !== 'given' || !head.script.isQuick || !lane.isReady || !lane.isWarm(head.script.id)) continue;
      head.yields = true;
      lane.stopHead();
    }
  }

  /** To the front of the queue, in their order, without those that nobody waits for any more. */
  #putBack(jobs: readonly Job[]): void {
    const waiting = jobs.filter(({ state }) => state === 'given');
    for (const job of waiting) job.state = 'queued';
    this.#queue.unshift(...waiting.filter((job) => !job.yields));
    this.#later.unshift(...waiting.filter((job) => job.yields));
  }

  #ended(job: Job, phase: 'load' | 'run', outcome: Outcome, ranMs: number): void {
    if (outcome.at === 'answered' && ranMs < YIELD_MS) job.script.isQuick = true;
    else if (outcome.at === 'answered' && ranMs > BUSY_MS) job.script.isQuick = false;
    if (job.state === 'given') this.#take(job, phase, outcome);
    this.#pump();
  }

  #take(job: Job, phase: 'load' | 'run', outcome: Outcome): void {
    switch (outcome.at) {
      case 'answered':
        return job.settle(outcome);
      case 'failed':
        if (phase === 'load') this.#cannotLoad(job, outcome.trouble, Number.POSITIVE_INFINITY);
        return job.settle({ ...outcome, trouble: phase === 'load' ? cannotLoad(outcome.trouble) : outcome.trouble });
      case 'missing':
        if (job.runs >= RUNS_MAX)
          return job.settle({ trouble: 'the script asks for more with every run', calls: '[]' });
        return void this.#ask(job, outcome.key);
      case 'late':
        return this.#late(job, phase, outcome);
      case 'stopped':
        if (job.yields) {
          job.state = 'queued';
          return void this.#later.push(job);
        }
        return job.settle({ trouble: NOBODY_WAITS, calls: '[]' });
    }
  }

  #cannotLoad(job: Job, trouble: string, forMs: number): void {
    job.script.failed = { trouble: cannotLoad(trouble), untilMs: this.#world.clock.now() + forMs };
  }

  #late(job: Job, phase: 'load' | 'run', { calls, ranMs }: { readonly calls: string; readonly ranMs: number }): void {
    const trouble = `the script did not answer within ${this.#deadlineMs} ms`;
    // One that had little time left when it began may be quick the next time.
    const isSlow = ranMs > this.#deadlineMs / 2;
    if (isSlow && phase === 'load') this.#cannotLoad(job, trouble, RELOAD_MS);
    else if (isSlow) this.#remember(job.ask.host);
    job.settle({ trouble: phase === 'load' ? cannotLoad(trouble) : trouble, calls });
  }

  #remember(host: string): void {
    if (this.#slow.size >= SLOW_MAX) this.#slow.clear();
    this.#slow.set(host, this.#world.clock.now() + SLOW_MS);
  }

  /** Finds out what the script wants to know, and lets it begin again. */
  async #ask(job: Job, key: string): Promise<void> {
    job.state = 'asking';
    job.waitsFor = key === OWN_ADDRESSES ? "this machine's addresses" : `the address of ${key}`;
    const startedMs = this.#world.clock.now();
    const generation = this.#generation;
    const found = await this.#find(key, job.signal);
    // Of another network by now: it is asked for again, and this answer is not remembered.
    if (job.state !== 'asking') return;
    if (generation === this.#generation)
      job.facts.set(key, { ...found, waitedMs: this.#world.clock.now() - startedMs });
    job.state = 'queued';
    // It has waited long enough.
    this.#queue.unshift(job);
    this.#pump();
  }

  async #find(key: string, signal: AbortSignal): Promise<Omit<Fact, 'waitedMs'>> {
    try {
      if (key === OWN_ADDRESSES) return await this.#world.ownAddresses();
      const all = await this.#world.resolve(key, signal);
      return { first: all.find((address) => !address.includes(':')), all };
    } catch {
      // What does not resolve has no address: that is what the helpers say of it.
      return { all: [] };
    }
  }

  #expire(job: Job): void {
    const lane = this.#lanes.find((one) => one.isRunning(job));
    if (job.state === 'given' && lane !== undefined) {
      // The run ends itself about now. Where it cannot, deep in a native function, its thread has to go.
      job.grant(GRACE_MS, () => {
        if (!lane.isRunning(job)) return;
        const phase = lane.isWarm(job.script.id) ? 'run' : 'load';
        this.#late(job, phase, { calls: '[]', ranMs: lane.headMs(performance.now()) });
        void this.#replace(lane);
      });
      return;
    }
    if (job.yields && job.state !== 'asking')
      return this.#giveUp(job, `the script did not answer within ${this.#deadlineMs} ms`);
    const why = job.state === 'asking' ? `: it waited for ${job.waitsFor}` : ': its turn had not come';
    this.#giveUp(job, `the script did not answer within ${this.#deadlineMs} ms${why}`);
  }

  #giveUp(job: Job, trouble: string): void {
    const lane = this.#lanes.find((one) => one.isRunning(job));
    job.settle({ trouble, calls: '[]' });
    lane?.stopHead();
  }

  async #replace(lane: Lane<Job>): Promise<void> {
    this.#lanes = this.#lanes.filter((one) => one !== lane);
    this.#putBack(lane.takeBack());
    this.#pump();
    await lane.end();
  }

  #lost(lane: Lane<Job>, left: readonly Job[], why: string): void {
    this.#lanes = this.#lanes.filter((one) => one !== lane);
    const [head, ...behind] = left;
    this.#putBack(behind);
    head?.settle({ trouble: `the script ended its sandbox: ${why}`, calls: '[]' });
    this.#pump();
  }
}
