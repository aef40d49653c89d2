import type { NoticeLevel } from '../contracts/event.ts';
import type { Clock } from '../util/clock.ts';
import type { WorkerHandle } from './worker-handle.ts';

/** A worker that ran for this long was healthy: it is replaced at once. */
const STEADY_MS = 10_000;
/** Before a worker that keeps dying is replaced; twice as long each time, up to the maximum. */
const BACKOFF_MS = 100;
const BACKOFF_MS_MAX = 10_000;
/** How long a worker may take to exit after it has closed; then it is killed. */
const EXIT_MS = 1_000;

export interface WorkerPoolDeps {
  readonly clock: Clock;
  fork(): WorkerHandle;
  /** Has a worker that is loaded serve, as the one at that place. Rejects when it cannot. */
  begin(worker: WorkerHandle, at: number): Promise<void>;
  notice(level: NoticeLevel, message: string): void;
  /** Runs a replacement when no reload is under way. */
  serialize(task: () => Promise<void>): Promise<void>;
}

interface WorkerSlot {
  readonly at: number;
  worker: WorkerHandle;
  startedMs: number;
  failures: number;
  /** Set while the place waits for its next worker. */
  restart: Disposable | undefined;
}

/** The workers, each at its place; one that dies is replaced. Disposing ends all of them. */
export class WorkerPool implements AsyncDisposable {
  readonly #deps: WorkerPoolDeps;
  #slots: readonly WorkerSlot[] = [];
  #isStopping = false;

  constructor(deps: WorkerPoolDeps) {
    this.#deps = deps;
  }

  /** Those that are alive. */
  get workers(): readonly WorkerHandle[] {
    return this.#slots.map(({ worker }) => worker).filter(({ isGone }) => !isGone);
  }

  /** Resolves when so many are loaded. `begin` is to be called then. */
  async load(count: number): Promise<void> {
    this.#slots = Array.from({ length: count }, (_, at) => ({
      at,
      worker: this.#deps.fork(),
      startedMs: this.#deps.clock.now(),
      failures: 0,
      restart: undefined,
    }));
    await Promise.all(this.#slots.map(({ worker }) => worker.loaded()));
  }

  /** Resolves when all serve. From then on each is replaced. */
  async begin(): Promise<void> {
    await Promise.all(this.#slots.map(({ worker, at }) => this.#deps.begin(worker, at)));
    for (const slot of this.#slots) this.#watch(slot);
  }

  /** All workers do the part of a change that may fail, or all abandon it and this rejects. Resolves with those that wait for `commit`. */
  async prepareAll(prepare: (worker: WorkerHandle, at: number) => Promise<void>): Promise<readonly WorkerHandle[]> {
    const { workers } = this;
    const results = await Promise.allSettled(workers.map(prepare));
    const refused = results.find((result, at) => result.status === 'rejected' && workers[at]?.isGone === false);
    if (refused?.status !== 'rejected') return workers;
    await Promise.allSettled(workers.map((worker) => worker.request({ type: 'abandon' })));
    throw refused.reason;
  }

  /** Replaces none any more. */
  stop(): void {
    this.#isStopping = true;
    for (const { restart } of this.#slots) restart?.[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    const kill = this.#deps.clock.after(EXIT_MS, () => {
      for (const worker of this.workers) worker.kill();
    });
    for (const worker of this.workers) worker.request({ type: 'close', drainMs: 0 }).catch(() => undefined);
    await Promise.all(this.#slots.map(({ worker }) => worker.gone));
    kill[Symbol.dispose]();
  }

  /** Replaces a worker that died, after a delay if it keeps dying. */
  #watch(slot: WorkerSlot): void {
    void slot.worker.gone.then((how) => {
      if (this.#isStopping) return;
      const { clock, notice, serialize } = this.#deps;
      slot.failures = clock.now() - slot.startedMs > STEADY_MS ? 0 : slot.failures + 1;
      const waitMs = slot.failures < 2 ? 0 : Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** (slot.failures - 2));
      const when = waitMs === 0 ? 'now' : `in ${waitMs / 1000} s`;
      notice('error', `worker ${slot.worker.pid} died (${how}); it is replaced ${when}`);
      slot.restart = clock.after(waitMs, () => void serialize(() => this.#replace(slot)));
    });
  }

  async #replace(slot: WorkerSlot): Promise<void> {
    if (this.#isStopping) return;
    slot.worker = this.#deps.fork();
    slot.startedMs = this.#deps.clock.now();
    this.#watch(slot);
    try {
      await slot.worker.loaded();
      await this.#deps.begin(slot.worker, slot.at);
    } catch (error) {
      if (!slot.worker.isGone) {
        const why = error instanceof Error ? error.message : error;
        this.#deps.notice('error', `worker ${slot.worker.pid}: ${why}`);
        slot.worker.kill();
      }
    }
  }
}
