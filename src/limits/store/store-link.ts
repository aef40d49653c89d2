import { randomBytes } from 'node:crypto';
import type { Observe } from '../../contracts/event.ts';
import type { Clock } from '../../util/clock.ts';
import type { StoreState } from '../limit-state.ts';
import { HELLO, type StoreScript } from './scripts.ts';
import { replyCode, type StoreConnection } from './store-client.ts';

/** A call without an answer after this long: the store counts as down. Slower than half of it no store is of use. */
const CALL_MS_MAX = 1_500;
/** The instance says this often that it lives. */
const HELLO_MS = 1_000;
/** … and counts as ended so long after it has said so last: then its tunnels are counted no more. */
export const INSTANCE_LEASE_MS = 5_000;
/** While the store is down, it is tried this often. */
const PROBE_MS = 250;
/** A probe that is not answered for so long makes the connection anew. */
const PROBE_MS_MAX = 2_000;
/** All instances would call at the same moments after the store has come back. */
const JITTER = 0.2;
/** Of the time that calls take, the latest counts for so much. */
const RTT_WEIGHT = 0.25;

/** Why a call has failed; the state of the link says since when. */
export class StoreDownError extends Error {
  override readonly name = 'StoreDownError';
}

export interface StoreLinkOptions {
  readonly connection: StoreConnection;
  readonly clock: Clock;
  readonly observe: Observe;
  /** First part of all keys. */
  readonly prefix: string;
  /** Where the store is, for notices: without a login. */
  readonly place: string;
  readonly onStoreDown: 'local' | 'deny';
  /** For tests: a script as it is sent. */
  readonly scriptOf?: ((script: StoreScript) => StoreScript) | undefined;
  readonly random?: (() => number) | undefined;
}

/** The connection of one instance to the store: calls scripts, and knows whether the store is up and how many share it. */
export class StoreLink implements AsyncDisposable {
  readonly me = randomBytes(9).toString('base64url');
  readonly #options: StoreLinkOptions;
  readonly #changes = new Set<(change: 'up' | 'down' | 'lost') => void>();
  #state: 'starting' | 'up' | 'down' | 'closed' = 'starting';
  #epoch: string | undefined;
  /** When the store had lost what it had counted, on the clock. */
  #lostMs = Number.NEGATIVE_INFINITY;
  #instances = 1;
  #calls = 0;
  #errors = 0;
  #callMs = 0;
  #problem: string | undefined;
  #probeFromMs: number | undefined;
  #timer: Disposable | undefined;

  constructor(options: StoreLinkOptions) {
    this.#options = options;
    void this.#hello();
  }

  get isUp(): boolean {
    return this.#state === 'up' || this.#state === 'starting';
  }

  get denies(): boolean {
    return !this.isUp && this.#options.onStoreDown === 'deny';
  }

  get instances(): number {
    return this.#instances;
  }

  get isCluster(): boolean {
    return this.#options.connection.isCluster;
  }

  get callMs(): number {
    return this.#callMs;
  }

  get state(): StoreState {
    const [isUp, instances, calls, errors] = [this.#state === 'up', this.#instances, this.#calls, this.#errors];
    return { isUp, instances, calls, errors, callMs: this.#callMs, problem: isUp ? undefined : this.#problem };
  }

  /** Calls when the store goes down, comes back, or has lost what it has counted. */
  onChange(listener: (change: 'up' | 'down' | 'lost') => void): void {
    this.#changes.add(listener);
  }

  /** Part of the time, so that instances that were started together do not call together. */
  jittered(ms: number): number {
    const { random = Math.random } = this.#options;
    return ms * (1 + JITTER * (2 * random() - 1));
  }

  /** A key in the slot that all limits but those of bandwidth have. */
  key(...names: readonly string[]): string {
    return `{${this.#options.prefix}}:${names.join(':')}`;
  }

  /** A key in one of the slots of bandwidth limits: a cluster shares them out. */
  keyIn(slot: number, ...names: readonly string[]): string {
    return `{${this.#options.prefix}:${slot}}:${names.join(':')}`;
  }

  /** Runs a script. Rejects with StoreDownError, at once while the store is down. */
  async call(script: StoreScript, keys: readonly string[], input: unknown): Promise<readonly unknown[]> {
    if (!this.isUp) throw new StoreDownError(this.#problem);
    const { clock } = this.#options;
    const { promise: late, reject } = Promise.withResolvers<never>();
    using _timer = clock.after(CALL_MS_MAX, () => reject(new StoreDownError(`gave no answer in ${CALL_MS_MAX} ms`)));
    const sentMs = clock.now();
    try {
      const reply = await Promise.race([this.#run(script, keys, input), late]);
      this.#callMs += (clock.now() - sentMs - this.#callMs) * RTT_WEIGHT;
      if (script.name !== 'hello') this.#sawEpoch(reply[0]);
      return reply;
    } catch (error) {
      this.#errors += 1;
      this.#goDown(error);
      throw new StoreDownError(this.#problem, { cause: error });
    }
  }

  /** Tells the store that this instance ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    const wasUp = this.isUp;
    this.#state = 'closed';
    this.#timer?.[Symbol.dispose]();
    if (wasUp) await this.#leave();
    await this.#options.connection[Symbol.asyncDispose]();
  }

  async #leave(): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    using _timer = this.#options.clock.after(HELLO_MS, resolve);
    const left = this.#sayHello('leaves').then(
      () => undefined,
      () => undefined,
    );
    await Promise.race([left, late]);
  }

  async #run(given: StoreScript, keys: readonly string[], input: unknown): Promise<readonly unknown[]> {
    const { connection, scriptOf = (script) => script } = this.#options;
    const script = scriptOf(given);
    const rest = [String(keys.length), ...keys, JSON.stringify(input)];
    this.#calls += 1;
    try {
      return listOf(await connection.command(['EVALSHA', script.sha1, ...rest]));
    } catch (error) {
      // After a restart, or on a server of a cluster that has not run it yet: EVAL runs it and keeps it.
      if (codeOf(error) !== 'NOSCRIPT') throw error;
      return listOf(await connection.command(['EVAL', script.text, ...rest]));
    }
  }

  async #hello(): Promise<void> {
    this.#probeFromMs = this.#options.clock.now();
    this.#next(PROBE_MS);
    try {
      this.#greeted(await this.#sayHello('lives'));
    } catch (error) {
      this.#probeFromMs = undefined;
      this.#errors += 1;
      this.#goDown(error);
    }
  }

  #sayHello(how: 'lives' | 'leaves'): Promise<readonly unknown[]> {
    const keys = [this.key('epoch'), this.key('instances')];
    const { me } = this;
    return this.#run(HELLO, keys, { me, leaseMs: INSTANCE_LEASE_MS, leaves: how === 'leaves' });
  }

  #greeted([epoch, instances]: readonly unknown[]): void {
    this.#probeFromMs = undefined;
    if (this.#state === 'closed') return;
    const before = this.#state;
    this.#state = 'up';
    this.#sawEpoch(epoch);
    // A store that has begun anew has not heard of all of them.
    const isYoung = this.#options.clock.now() < this.#lostMs + INSTANCE_LEASE_MS;
    this.#instances = Math.max(1, Number(instances), isYoung ? this.#instances : 1);
    this.#next(HELLO_MS);
    if (before !== 'down') return;
    this.#problem = undefined;
    this.#notice('info', `the store of the shared limits, ${this.#options.place}, is up again: limits are shared`);
    this.#publish('up');
  }

  #goDown(error: unknown): void {
    if (this.#state === 'closed') return;
    this.#problem = problemOf(error);
    if (this.#state === 'down') return;
    this.#state = 'down';
    const { onStoreDown, place } = this.#options;
    const now =
      onStoreDown === 'deny'
        ? 'new requests get 503, and open tunnels go on'
        : `this proxy keeps to its part of each limit (1 of ${this.#instances})`;
    this.#notice('warn', `the store of the shared limits, ${place}, ${this.#problem}; until it is back, ${now}`);
    this.#publish('down');
    this.#next(PROBE_MS);
  }

  /** Tries the store again, unless a probe is on its way. */
  #next(delayMs: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#options.clock.after(this.jittered(delayMs), () => {
      if (this.#state === 'closed') return;
      const sinceMs = this.#probeFromMs;
      if (sinceMs === undefined) return void this.#hello();
      const waitedMs = this.#options.clock.now() - sinceMs;
      if (waitedMs > CALL_MS_MAX) this.#goDown(new StoreDownError(`gives no answer`));
      if (waitedMs > PROBE_MS_MAX) {
        this.#probeFromMs = undefined;
        this.#options.connection.reconnect();
      }
      this.#next(PROBE_MS);
    });
  }

  #sawEpoch(epoch: unknown): void {
    const before = this.#epoch;
    this.#epoch = String(epoch);
    if (before === undefined || before === this.#epoch) return;
    this.#lostMs = this.#options.clock.now();
    this.#publish('lost');
  }

  #publish(change: 'up' | 'down' | 'lost'): void {
    for (const listener of this.#changes) listener(change);
  }

  #notice(level: 'info' | 'warn', message: string): void {
    this.#options.observe({ type: 'notice', level, message });
  }
}

const listOf = (reply: unknown): readonly unknown[] => (Array.isArray(reply) ? reply : []);

/** Of the store, or of the system. */
const codeOf = (error: unknown): string => {
  const code = replyCode(error);
  return code === '' && error instanceof Error && 'code' in error ? String(error.code) : code;
};

const PROBLEMS: Readonly<Record<string, string>> = {
  OOM: 'is full (maxmemory)',
  READONLY: 'is a read-only replica',
  LOADING: 'is loading its data',
  BUSY: 'is busy with a script',
  CLUSTERDOWN: 'is a cluster that is down',
  MASTERDOWN: 'has lost its master',
  MISCONF: 'cannot save its data',
  NOAUTH: 'wants a password (limits.storePassword)',
  WRONGPASS: 'rejects the user or the password',
  NOPERM: 'does not permit a command that is needed (ACL: +@read +@write +@scripting +@connection +time +info)',
  CROSSSLOT: 'is a cluster; write redis+cluster:// in limits.store',
  MOVED: 'is a cluster; write redis+cluster:// in limits.store',
  ECONNREFUSED: 'refuses connections',
};

/** In words of this program: what the store says may hold anything. */
function problemOf(error: unknown): string {
  if (error instanceof StoreDownError) return error.message;
  const code = codeOf(error);
  return PROBLEMS[code] ?? (code === '' ? 'cannot be reached' : `cannot be used (${code})`);
}
