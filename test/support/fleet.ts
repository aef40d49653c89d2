import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { ProxyEvent } from '../../src/contracts/event.ts';
import type { Gate, IdentifiedRequest } from '../../src/contracts/stages.ts';
import { createLimits, type Limits } from '../../src/limits/limits.ts';
import { type LimitsInput, limitsSchema } from '../../src/limits/options.ts';
import type { StoreScript } from '../../src/limits/store/script.ts';
import { StoreBackend } from '../../src/limits/store/store-backend.ts';
import type { StoreConnection } from '../../src/limits/store/store-client.ts';
import { StoreLimits } from '../../src/limits/store/store-limits.ts';
import { tunnelOf } from './gate-consumers.ts';
import { ManualClock } from './manual-clock.ts';
import { openParts } from './open-parts.ts';
import { numbers } from './pace.ts';

/** The store's clock at the beginning of a test. */
const EPOCH_MS = 1_764_000_000_000;
/** A script runs by the clock of the test, which each command brings along. */
const TEST_TIME = `{ 0, tonumber(redis.call('GET', 'test-time')) * 1000 }`;

/** One of several instances that share their limits. */
export interface Instance extends AsyncDisposable {
  readonly limits: Limits;
  readonly store: StoreLimits;
  readonly notices: string[];
  gate(request?: IdentifiedRequest): Promise<Gate>;
  /** Its connection fails from now on, or works again: nothing reaches the store. */
  disconnect(): void;
  connect(): void;
}

/** Several instances in this process on one clock, and a real store that follows the same clock. */
export class Fleet implements AsyncDisposable {
  readonly clock: ManualClock = new ManualClock();
  readonly #port: number;
  readonly #prefix: string;
  readonly #numbers = numbers(7);
  readonly #open = openParts();
  #inFlight = 0;
  /** Commands are so late, on the clock. */
  delayMs = 0;
  /** Scripts that were called. */
  calls = 0;

  constructor(port: number, prefix: string) {
    this.#port = port;
    this.#prefix = prefix;
  }

  async instance(input: LimitsInput, onStoreDown: 'local' | 'deny' = 'local'): Promise<Instance> {
    const { clock } = this;
    const redis = new Redis({ host: '127.0.0.1', port: this.#port, maxRetriesPerRequest: 0 });
    this.#open.defer('redis', () => redis.disconnect());
    let isConnected = true;
    const connection: StoreConnection = {
      isCluster: false,
      reconnect() {},
      command: async ([name = '', ...rest]) => {
        this.calls += 1;
        if (!isConnected) throw Object.assign(new Error('away'), { code: 'ECONNREFUSED' });
        if (this.delayMs > 0) await new Promise<void>((resolve) => void clock.after(this.delayMs, resolve));
        this.#inFlight += 1;
        try {
          void redis.set('test-time', EPOCH_MS + clock.now());
          const reply = await redis.call(name, ...rest);
          return isConnected ? reply : await new Promise(() => {});
        } finally {
          this.#inFlight -= 1;
        }
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const notices: string[] = [];
    const observe = (event: ProxyEvent) => {
      if (event.type === 'notice') notices.push(event.message);
    };
    const store = new StoreLimits({
      ...{ connection, clock, observe, onStoreDown },
      prefix: this.#prefix,
      place: 'the store',
      scriptOf: byTestTime,
      random: () => this.#numbers(1_000_000) / 1_000_000,
    });
    const backend = new StoreBackend(store, { clock, observe });
    const limits = createLimits(limitsSchema.parse(input), { clock, observe, backend });
    await this.settle();
    return {
      ...{ limits, store, notices },
      gate: async (request = tunnelOf()) => {
        const { down } = await this.settled(limits.acquire(request));
        if (down === undefined) throw new Error('a permit without a gate');
        return down;
      },
      disconnect: () => {
        isConnected = false;
      },
      connect: () => {
        isConnected = true;
      },
      [Symbol.asyncDispose]: async () => {
        await this.settled(limits[Symbol.asyncDispose]());
      },
    };
  }

  /** Lets time pass in steps, with all that happens in them. */
  async pass(ms: number, stepMs = 5): Promise<void> {
    for (let at = 0; at < ms; at += stepMs) {
      this.clock.advance(stepMs);
      await this.settle();
    }
  }

  /** What is on its way arrives, and time passes until it has. */
  async settled<T>(result: T | PromiseLike<T>): Promise<T> {
    let isOver = false;
    const over = Promise.resolve(result).finally(() => {
      isOver = true;
    });
    over.catch(() => {});
    while (!isOver) await this.pass(5);
    return await over;
  }

  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 6; quiet++) {
      await nextTurn();
      if (this.#inFlight > 0) quiet = 0;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open[Symbol.asyncDispose]();
  }
}

function byTestTime(script: StoreScript): StoreScript {
  const text = script.text.replace(`redis.call('TIME')`, TEST_TIME);
  return { ...script, text, sha1: createHash('sha1').update(text).digest('hex') };
}
