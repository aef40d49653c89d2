import type { Clock } from '../util/clock.ts';
import { Failures } from './failures.ts';

/** A comparison of a password that waits. */
export interface Job {
  readonly costUs: number;
  /** Resolves to whether the password was right, or to `undefined` when the comparison failed. */
  start(): Promise<boolean | undefined>;
  drop(error: unknown): void;
}

/** The attempts of one user from one client: one at a time, and after repeated failures with a pause in between. */
export interface Line {
  readonly key: string;
  readonly client: Client;
  readonly jobs: Job[];
  resting: Disposable | undefined;
  isRunning: boolean;
}

interface Client {
  readonly name: string;
  readonly lines: Map<string, Line>;
  /** Lines whose next job may start, in order. */
  readonly ready: Map<string, Line>;
  /** Jobs in all its lines. */
  waiting: number;
}

/** Comparisons that wait, and which is next: one of each client in turn, and of each client one of each user in turn. */
export class Lines {
  readonly #clock: Clock;
  readonly #failures: Failures;
  readonly #onRested: () => void;
  readonly #clients = new Map<string, Client>();
  /** Clients with a line that is ready, in the order of their turns. */
  readonly #ready = new Map<string, Client>();
  #waiting = 0;
  #waitingUs = 0;

  /** `onRested` is called when a line that has rested is ready. */
  constructor(clock: Clock, onRested: () => void) {
    this.#clock = clock;
    this.#failures = new Failures(clock);
    this.#onRested = onRested;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** What all waiting comparisons cost, in microseconds. */
  get waitingUs(): number {
    return this.#waitingUs;
  }

  /** The caller adds a job to it, or calls `settle`. */
  of(name: string, user: string): Line {
    const client = this.#clients.get(name) ?? { name, lines: new Map(), ready: new Map(), waiting: 0 };
    this.#clients.set(name, client);
    const key = `${name}\0${user}`;
    const line = client.lines.get(key) ?? { key, client, jobs: [], resting: undefined, isRunning: false };
    client.lines.set(key, line);
    return line;
  }

  add(job: Job, line: Line): void {
    line.jobs.push(job);
    this.#count(line, 1, job.costUs);
    this.settle(line);
  }

  /** Returns whether it still waited. */
  remove(job: Job, line: Line): boolean {
    const at = line.jobs.indexOf(job);
    if (at < 0) return false;
    line.jobs.splice(at, 1);
    this.#count(line, -1, -job.costUs);
    this.settle(line);
    return true;
  }

  /** Removes the job whose turn it is; its client is then the last one. The caller calls `ended` afterwards. */
  take(): { readonly job: Job; readonly line: Line } | undefined {
    const [client] = this.#ready.values();
    const [line] = client?.ready.values() ?? [];
    const job = line?.jobs.shift();
    if (client === undefined || line === undefined || job === undefined) return undefined;
    this.#count(line, -1, -job.costUs);
    line.isRunning = true;
    this.#unready(line);
    if (client.ready.size > 0) {
      this.#ready.delete(client.name);
      this.#ready.set(client.name, client);
    }
    return { job, line };
  }

  ended(line: Line, isRight: boolean | undefined): void {
    if (isRight === true) this.#failures.recordSuccess(line.key);
    else if (isRight === false) this.#failures.recordFailure(line.key);
    line.isRunning = false;
    this.settle(line);
  }

  /** Sorts a line in: among those that are ready, or resting; one without jobs is removed. */
  settle(line: Line): void {
    const { client, key } = line;
    if (line.isRunning) return;
    if (line.jobs.length === 0) {
      line.resting?.[Symbol.dispose]();
      this.#unready(line);
      client.lines.delete(key);
      if (client.lines.size === 0) this.#clients.delete(client.name);
      return;
    }
    if (line.resting !== undefined || client.ready.has(key)) return;
    const restMs = this.#failures.restMs(key);
    if (restMs === 0) {
      client.ready.set(key, line);
      if (!this.#ready.has(client.name)) this.#ready.set(client.name, client);
      return;
    }
    line.resting = this.#clock.after(restMs, () => {
      line.resting = undefined;
      this.settle(line);
      this.#onRested();
    });
  }

  /** The longest line of the client with most waiting jobs, if that is longer than `line` would be with one more. */
  fullest(line: Line): Line | undefined {
    let client = line.client;
    let most = client.waiting + 1;
    for (const other of this.#clients.values()) {
      if (other.waiting <= most) continue;
      client = other;
      most = other.waiting;
    }
    let fullest: Line | undefined;
    let longest = client === line.client ? line.jobs.length + 1 : 0;
    for (const other of client.lines.values()) {
      if (other.jobs.length <= longest) continue;
      fullest = other;
      longest = other.jobs.length;
    }
    return fullest;
  }

  #unready({ client, key }: Line): void {
    if (client.ready.delete(key) && client.ready.size === 0) this.#ready.delete(client.name);
  }

  #count({ client }: Line, jobs: number, costUs: number): void {
    client.waiting += jobs;
    this.#waiting += jobs;
    this.#waitingUs += costUs;
  }
}
