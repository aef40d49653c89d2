/** What is known from outside a script: the addresses of a name, or this machine's own. */
export interface Fact {
  /** What the helpers that give one address give; absent: none. */
  readonly first?: string | undefined;
  /** What the helpers that give all addresses give. */
  readonly all: readonly string[];
  /** How long the evaluation that asked has waited for it. */
  readonly waitedMs: number;
}

/** How one run ended. */
export type Outcome =
  /** `calls`: JSON of `[helper, args, result, ms]` each. */
  | { readonly at: 'answered'; readonly answer: string; readonly calls: string }
  | { readonly at: 'failed'; readonly trouble: string; readonly calls: string }
  /** It ran until its time was over. */
  | { readonly at: 'late'; readonly calls: string; readonly ranMs: number }
  /** It needs to know about `key` first; what it did until then counts for nothing. */
  | { readonly at: 'missing'; readonly key: string }
  /** Nobody waited for it any more. */
  | { readonly at: 'stopped' };

/** What the main thread says to a worker. */
export type ToWorker =
  | { readonly say: 'script'; readonly id: number; readonly text: string }
  | { readonly say: 'run'; readonly job: JobMessage }
  /** The network changed: nothing that is remembered holds, whatever a script computed while it was loaded included. */
  | { readonly say: 'forget'; readonly generation: number };

export interface JobMessage {
  /** Counts the runs that this worker was given. */
  readonly seq: number;
  readonly script: number;
  readonly url: string;
  readonly host: string;
  readonly wallMs: number;
  readonly trace: 'calls' | 'lookups';
  /** On a clock that all threads share: `performance.timeOrigin + performance.now()`. */
  readonly untilMs: number;
  /** What this evaluation has waited for, and the network that it is true of. */
  readonly facts: ReadonlyMap<string, Fact>;
  readonly generation: number;
}

/** What a worker says. `phase`: whether the script was still being loaded. */
export type FromWorker =
  | { readonly say: 'ready' }
  /** This script can be run from now on. */
  | { readonly say: 'loaded'; readonly script: number }
  | { readonly say: 'ended'; readonly seq: number; readonly phase: 'load' | 'run'; readonly outcome: Outcome };

/** Scripts that a worker keeps: the current one, and the one before while evaluations of it end. */
export const SCRIPTS_MAX = 2;

/** What a worker is made with. */
export interface WorkerData {
  /** IANA name of the time zone; absent: the machine's. */
  readonly zone: string | undefined;
  /** Runs up to the one at STOP_THROUGH end at the next chance; those up to SKIP_THROUGH do not begin, but for KEPT. */
  readonly orders: Int32Array<SharedArrayBuffer>;
}
export const STOP_THROUGH = 0;
export const SKIP_THROUGH = 1;
export const KEPT = 2;
