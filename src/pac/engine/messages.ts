/** What is known from outside a script: the addresses of a name, or this machine's own. */
export interface Fact {
  /** For the helpers that return one address; absent: there is none. */
  readonly first?: string | undefined;
  /** For the helpers that return all addresses. */
  readonly all: readonly string[];
  /** How long the evaluation waited for it. */
  readonly waitedMs: number;
}

/** How one run ended. */
export type Outcome =
  /** `calls`: JSON of `[helper, args, result, ms]` each. */
  | { readonly at: 'answered'; readonly result: string; readonly calls: string }
  | { readonly at: 'failed'; readonly failure: string; readonly calls: string }
  /** It ran until the deadline. */
  | { readonly at: 'late'; readonly calls: string; readonly ranMs: number }
  /** It needs the fact `key` first, and runs again with it. */
  | { readonly at: 'missing'; readonly key: string }
  /** The main thread stopped it. */
  | { readonly at: 'stopped' };

/** Messages from the main thread to a worker. */
export type WorkerCommand =
  | { readonly type: 'script'; readonly id: number; readonly text: string }
  | { readonly type: 'run'; readonly job: JobMessage }
  /** The network changed: facts, and what scripts computed with them while they were loaded, hold no longer. */
  | { readonly type: 'forget'; readonly generation: number };

export interface JobMessage {
  /** Counts the runs that were sent to this worker. */
  readonly seq: number;
  readonly script: number;
  readonly url: string;
  readonly host: string;
  readonly wallMs: number;
  readonly trace: 'calls' | 'lookups';
  /** On the clock of `sharedNow`. */
  readonly untilMs: number;
  /** What this evaluation has looked up. */
  readonly facts: ReadonlyMap<string, Fact>;
  /** The network that the facts are true of. */
  readonly generation: number;
}

/** Messages from a worker. `phase`: whether the script was still being loaded. */
export type WorkerEvent =
  | { readonly type: 'ready' }
  /** This script has been loaded. */
  | { readonly type: 'loaded'; readonly script: number }
  | { readonly type: 'ended'; readonly seq: number; readonly phase: 'load' | 'run'; readonly outcome: Outcome };

/** Scripts that a worker holds: the current one, and the one before while evaluations of it end. */
export const SCRIPTS_MAX = 2;

/** What a worker is started with. */
export interface WorkerData {
  /** IANA name of the time zone; absent: the machine's. */
  readonly zone: string | undefined;
  /** Runs up to STOP_THROUGH stop when they next check; those up to SKIP_THROUGH do not begin, except EXEMPT_SEQ. */
  readonly control: Int32Array<SharedArrayBuffer>;
}
export const STOP_THROUGH = 0;
export const SKIP_THROUGH = 1;
export const EXEMPT_SEQ = 2;
