import { Worker } from 'node:worker_threads';
import {
  type FromWorker,
  type JobMessage,
  KEPT,
  type Outcome,
  SCRIPTS_MAX,
  SKIP_THROUGH,
  STOP_THROUGH,
  type ToWorker,
  type WorkerData,
} from './messages.ts';

/** QuickJS may nest to its own limit before Node's is met: half a megabyte of its stack is several of the thread's. */
const STACK_MB = 16;
const HEAP_MB_MAX = 64;

/** A run that takes longer than this is overtaken by others. A usual one takes less than a millisecond. */
export const BUSY_MS = 50;
/** The same while the script may still have to be loaded, which takes long on a busy machine. */
const LOADING_MS = 400;

/** One run that a lane was given. */
interface Given<J> {
  readonly job: J;
  readonly script: number;
  readonly seq: number;
}

export interface LaneEvents<J> {
  /** `ranMs`: since the run before it had ended. */
  ended(job: J, phase: 'load' | 'run', outcome: Outcome, ranMs: number): void;
  /** The thread is gone, for whatever reason; `left`: what it was given and did not end. */
  lost(lane: Lane<J>, left: readonly J[], why: string): void;
}

/** One worker thread and the runs that it was given, in order; the first of them is running. */
export class Lane<J> {
  readonly #worker: Worker;
  readonly #orders = new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));
  /** Scripts that the worker has been told. */
  readonly #scripts = new Set<number>();
  /** Scripts that are loaded. */
  readonly #warm = new Set<number>();
  readonly #events: LaneEvents<J>;
  #given: Given<J>[] = [];
  #seq = 0;
  /** Resolves when the thread runs, or is gone. */
  readonly ready: Promise<void>;
  #toldReady: () => void = () => undefined;
  #isReady = false;
  #isLost = false;
  #headSinceMs = 0;
  /** The first run takes so long that nothing is queued behind it. */
  isStuck = false;

  constructor(zone: string | undefined, events: LaneEvents<J>) {
    this.#events = events;
    this.ready = new Promise((resolve) => {
      this.#toldReady = resolve;
    });
    const data: WorkerData = { zone, orders: this.#orders };
    this.#worker = new Worker(workerUrl(), {
      name: 'viaduct-pac',
      workerData: data,
      // A thread that runs other people's scripts gets nothing of ours.
      env: {},
      argv: [],
      execArgv: [],
      resourceLimits: { stackSizeMb: STACK_MB, maxOldGenerationSizeMb: HEAP_MB_MAX },
    });
    this.#worker.on('message', (message: FromWorker) => this.#hear(message));
    this.#worker.on('error', (error: Error) => this.#lose(error.message));
    this.#worker.on('exit', () => this.#lose('its thread ended'));
  }

  get length(): number {
    return this.#given.length;
  }

  /** For how long the first run has been running, on the clock of `performance.now`. */
  headMs(nowMs: number): number {
    return this.#isReady && this.#given.length > 0 ? nowMs - this.#headSinceMs : 0;
  }

  /** Whether this script is loaded there. */
  isWarm(script: number): boolean {
    return this.#warm.has(script);
  }

  /** Whether the first run takes so long that others should not wait for it. */
  isBusy(nowMs: number): boolean {
    const [head] = this.#given;
    return head !== undefined && this.headMs(nowMs) > (this.isWarm(head.script) ? BUSY_MS : LOADING_MS);
  }

  /** Not while the thread is being started: whoever ends it then for being late would only begin again. */
  isRunning(job: J): boolean {
    return this.#isReady && this.#given[0]?.job === job;
  }

  /** Hands a script over, unless the worker still has it. */
  teach(id: number, text: string): void {
    if (this.#scripts.has(id)) return;
    // The worker drops the oldest in the same order.
    for (const old of this.#scripts) if (this.#scripts.size >= SCRIPTS_MAX) this.#drop(old);
    this.#scripts.add(id);
    this.#say({ say: 'script', id, text });
  }

  give(job: J, message: Omit<JobMessage, 'seq'>, nowMs: number): void {
    this.#seq++;
    if (this.#given.length === 0) {
      this.#headSinceMs = nowMs;
      // A process that has nothing else to do still waits for this.
      this.#worker.ref();
    }
    this.#given.push({ job, script: message.script, seq: this.#seq });
    this.#say({ say: 'run', job: { ...message, seq: this.#seq } });
  }

  forget(generation: number): void {
    this.#warm.clear();
    this.#say({ say: 'forget', generation });
  }

  /** Takes back all but the first run. */
  takeBack(): J[] {
    const [head, ...rest] = this.#given;
    // On a busy machine the thread may not have begun it, and would skip it with the others.
    Atomics.store(this.#orders, KEPT, head?.seq ?? 0);
    Atomics.store(this.#orders, SKIP_THROUGH, this.#seq);
    this.#given = head === undefined ? [] : [head];
    return rest.map(({ job }) => job);
  }

  /** Whether the thread runs. */
  get isReady(): boolean {
    return this.#isReady;
  }

  get head(): J | undefined {
    return this.#given[0]?.job;
  }

  /** Ends the first run at the next chance; it still tells that it has ended. */
  stopHead(): void {
    const seq = this.#given[0]?.seq;
    if (seq !== undefined) Atomics.store(this.#orders, STOP_THROUGH, seq);
  }

  /** Ends the thread, whatever it is doing. */
  async end(): Promise<void> {
    this.#isLost = true;
    await this.#worker.terminate();
  }

  #drop(script: number): void {
    this.#scripts.delete(script);
    this.#warm.delete(script);
  }

  #say(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #hear(message: FromWorker): void {
    const nowMs = performance.now();
    const ranMs = this.headMs(nowMs);
    this.#headSinceMs = nowMs;
    if (message.say === 'ready') {
      this.#isReady = true;
      if (this.#given.length === 0) this.#worker.unref();
      this.#toldReady();
      return;
    }
    if (message.say === 'loaded') {
      this.#warm.add(message.script);
      return;
    }
    const at = this.#given.findIndex(({ seq }) => seq === message.seq);
    const given = this.#given[at];
    // Taken back meanwhile, just as it began.
    if (given === undefined) return;
    this.#given.splice(at, 1);
    this.isStuck = false;
    if (this.#given.length === 0) this.#worker.unref();
    this.#events.ended(given.job, message.phase, message.outcome, ranMs);
  }

  #lose(why: string): void {
    this.#toldReady();
    if (this.#isLost) return;
    this.#isLost = true;
    void this.#worker.terminate();
    const left = this.#given.map(({ job }) => job);
    this.#given = [];
    this.#events.lost(this, left, why);
  }
}

/** Beside this file, in the source, in the library and beside the bundled command alike. */
function workerUrl(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './pac-worker.ts' : './pac-worker.js', import.meta.url);
}
