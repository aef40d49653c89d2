import { Worker } from 'node:worker_threads';
import type { Clock } from '../../util/clock.ts';
import {
  EXEMPT_SEQ,
  type JobMessage,
  type Outcome,
  SCRIPTS_MAX,
  SKIP_THROUGH,
  STOP_THROUGH,
  type WorkerCommand,
  type WorkerData,
  type WorkerEvent,
} from './messages.ts';

/** So that QuickJS reaches its own limit before Node's: half a megabyte of its stack is several of the thread's. */
const STACK_MB = 16;
const HEAP_MB_MAX = 64;

/** A run that takes longer than this is overtaken by the others. A usual one takes less than a millisecond. */
export const BUSY_MS = 50;
/** The same bound while the script may still have to be loaded, which takes long on a busy machine. */
const LOADING_MS = 400;

/** One run that was sent to a thread. */
interface QueuedRun<J> {
  readonly job: J;
  readonly script: number;
  readonly seq: number;
}

export interface WorkerThreadEvents<J> {
  /** `ranMs`: time since the run before it ended. */
  ended(job: J, phase: 'load' | 'run', outcome: Outcome, ranMs: number): void;
  /** The thread ended without being asked to. `unfinished`: the jobs of the runs that it did not end, in order. */
  crashed(thread: WorkerThread<J>, unfinished: readonly J[], why: string): void;
}

/** One worker thread and the runs that it was sent, in order; the first of them is running. */
export class WorkerThread<J> {
  readonly #worker: Worker;
  readonly #control = new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));
  /** Scripts that the worker has. */
  readonly #scripts = new Set<number>();
  /** Scripts that the worker has loaded. */
  readonly #warm = new Set<number>();
  readonly #clock: Clock;
  readonly #events: WorkerThreadEvents<J>;
  #runs: QueuedRun<J>[] = [];
  #seq = 0;
  /** Resolves when the thread is ready, or has ended. */
  readonly ready: Promise<void>;
  #resolveReady: () => void = () => undefined;
  #isReady = false;
  #hasEnded = false;
  #headSinceMs = 0;
  /** The first run takes so long that no other is sent to this thread. */
  isStuck = false;

  constructor(clock: Clock, zone: string | undefined, events: WorkerThreadEvents<J>) {
    this.#clock = clock;
    this.#events = events;
    this.ready = new Promise((resolve) => {
      this.#resolveReady = resolve;
    });
    const data: WorkerData = { zone, control: this.#control };
    this.#worker = new Worker(workerUrl(), {
      name: 'viaduct-pac',
      workerData: data,
      // The thread runs scripts that others wrote: it gets neither our environment nor our arguments.
      env: {},
      argv: [],
      execArgv: [],
      resourceLimits: { stackSizeMb: STACK_MB, maxOldGenerationSizeMb: HEAP_MB_MAX },
    });
    this.#worker.on('message', (message: WorkerEvent) => this.#onMessage(message));
    this.#worker.on('error', (error: Error) => this.#onCrash(error.message));
    this.#worker.on('exit', () => this.#onCrash('its thread ended'));
  }

  get length(): number {
    return this.#runs.length;
  }

  /** How long the first run has been running. */
  get headMs(): number {
    return this.#isReady && this.#runs.length > 0 ? this.#clock.now() - this.#headSinceMs : 0;
  }

  /** Whether the worker has loaded this script. */
  isWarm(script: number): boolean {
    return this.#warm.has(script);
  }

  /** Whether the first run takes so long that others should not wait for it. */
  get isBusy(): boolean {
    const [head] = this.#runs;
    return head !== undefined && this.headMs > (this.isWarm(head.script) ? BUSY_MS : LOADING_MS);
  }

  /** `false` while the thread starts: to end it then for being late would only start another. */
  isRunning(job: J): boolean {
    return this.#isReady && this.#runs[0]?.job === job;
  }

  /** Sends a script, unless the worker still has it. */
  sendScript(id: number, text: string): void {
    if (this.#scripts.has(id)) return;
    // The worker drops the oldest in the same order.
    for (const old of this.#scripts) if (this.#scripts.size >= SCRIPTS_MAX) this.#drop(old);
    this.#scripts.add(id);
    this.#post({ type: 'script', id, text });
  }

  submit(job: J, message: Omit<JobMessage, 'seq'>): void {
    this.#seq++;
    if (this.#runs.length === 0) {
      this.#headSinceMs = this.#clock.now();
      // A process that has nothing else to do still waits for the result.
      this.#worker.ref();
    }
    this.#runs.push({ job, script: message.script, seq: this.#seq });
    this.#post({ type: 'run', job: { ...message, seq: this.#seq } });
  }

  forget(generation: number): void {
    this.#warm.clear();
    this.#post({ type: 'forget', generation });
  }

  /** Takes back all runs but the first, and returns their jobs. */
  takeBack(): J[] {
    const [head, ...rest] = this.#runs;
    // On a busy machine the thread may not have begun the first run, and would skip it with the others.
    Atomics.store(this.#control, EXEMPT_SEQ, head?.seq ?? 0);
    Atomics.store(this.#control, SKIP_THROUGH, this.#seq);
    this.#runs = head === undefined ? [] : [head];
    return rest.map(({ job }) => job);
  }

  /** Whether the thread has started. */
  get isReady(): boolean {
    return this.#isReady;
  }

  get head(): J | undefined {
    return this.#runs[0]?.job;
  }

  /** Stops the first run when it next checks; the worker still reports that it has ended. */
  stopHead(): void {
    const seq = this.#runs[0]?.seq;
    if (seq !== undefined) Atomics.store(this.#control, STOP_THROUGH, seq);
  }

  /** Ends the thread, even in the middle of a run. */
  async end(): Promise<void> {
    this.#hasEnded = true;
    await this.#worker.terminate();
  }

  #drop(script: number): void {
    this.#scripts.delete(script);
    this.#warm.delete(script);
  }

  #post(message: WorkerCommand): void {
    this.#worker.postMessage(message);
  }

  #onMessage(message: WorkerEvent): void {
    const ranMs = this.headMs;
    this.#headSinceMs = this.#clock.now();
    if (message.type === 'ready') {
      this.#isReady = true;
      if (this.#runs.length === 0) this.#worker.unref();
      this.#resolveReady();
      return;
    }
    if (message.type === 'loaded') {
      this.#warm.add(message.script);
      return;
    }
    const at = this.#runs.findIndex(({ seq }) => seq === message.seq);
    const run = this.#runs[at];
    // It was taken back just as it began.
    if (run === undefined) return;
    this.#runs.splice(at, 1);
    this.isStuck = false;
    if (this.#runs.length === 0) this.#worker.unref();
    this.#events.ended(run.job, message.phase, message.outcome, ranMs);
  }

  #onCrash(why: string): void {
    this.#resolveReady();
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    void this.#worker.terminate();
    const unfinished = this.#runs.map(({ job }) => job);
    this.#runs = [];
    this.#events.crashed(this, unfinished, why);
  }
}

/** The worker's file lies beside this one: in the source, in the library, and beside the bundled command. */
function workerUrl(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './pac-worker.ts' : './pac-worker.js', import.meta.url);
}
