import assert from 'node:assert/strict';
import { type ConfigInput, resolveOptions } from '../../src/config/schema.ts';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import type { Exporter } from '../../src/core/contracts.ts';
import type { ProxyEvent } from '../../src/core/event.ts';
import type { ProxyRecord } from '../../src/core/record.ts';
import type { BookParts } from '../../src/credentials/book.ts';
import type { Environment } from '../../src/credentials/environment.ts';
import { type RunningProxy, type StartOptions, startProxy } from '../../src/proxy.ts';
import type { Ticketing } from '../../src/upstream/auth/gssapi.ts';
import { type RawPeer, rawClient } from './raw-client.ts';

/** A proxy in this process, and everything that it has told. Disposing it also proves that it has left no timer. */
export class ProxyUnderTest implements AsyncDisposable {
  readonly proxy: RunningProxy;
  readonly port: number;
  readonly events: ProxyEvent[];
  readonly records: ProxyRecord[];
  readonly #clock: CountingClock;
  readonly #hearers: Set<() => void>;

  private constructor(
    proxy: RunningProxy,
    clock: CountingClock,
    events: ProxyEvent[],
    records: ProxyRecord[],
    hearers: Set<() => void>,
  ) {
    this.proxy = proxy;
    this.port = Number(new URL(proxy.url).port);
    this.events = events;
    this.records = records;
    this.#clock = clock;
    this.#hearers = hearers;
  }

  /** On a free port of 127.0.0.1, without a log, unless the configuration says otherwise. */
  static async start(config: ConfigInput = {}, options: StartOptions = {}): Promise<ProxyUnderTest> {
    const events: ProxyEvent[] = [];
    const records: ProxyRecord[] = [];
    const hearers = new Set<() => void>();
    const exporter: Exporter = {
      name: 'test',
      observe(event) {
        events.push(event);
        if (event.type === 'closed') records.push(event.record);
        for (const hear of [...hearers]) hear();
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const clock = new CountingClock(options.clock ?? systemClock);
    const settings = resolveOptions({ listen: 'http://127.0.0.1:0', log: { format: 'off' }, ...config });
    const unaware = { credentials: nobodysSources(clock), tickets: NO_TICKETS };
    const proxy = await startProxy(settings, { ...unaware, ...options, exporters: [exporter], clock });
    return new ProxyUnderTest(proxy, clock, events, records, hearers);
  }

  client(): Promise<RawPeer> {
    return rawClient(this.port);
  }

  /** A client whose CONNECT to `authority` was answered with 200; what came is the tunnel's from here on. */
  async tunnel(authority: string): Promise<RawPeer> {
    const client = await this.client();
    client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    const head = await client.until('\r\n\r\n');
    assert.match(head, /^HTTP\/1\.1 200 /);
    client.forget(head.indexOf('\r\n\r\n') + 4);
    return client;
  }

  /** Resolves once `isTrue` holds; asked at every event. */
  async when(isTrue: (self: this) => boolean): Promise<void> {
    while (!isTrue(this)) {
      await new Promise<void>((resolve) => {
        const hear = () => {
          this.#hearers.delete(hear);
          resolve();
        };
        this.#hearers.add(hear);
      });
    }
  }

  /** Forgets what was told so far, once all that was received has also ended. */
  async forget(): Promise<void> {
    await this.when(({ events, records }) => records.length >= events.filter(({ type }) => type === 'received').length);
    this.events.length = 0;
    this.records.length = 0;
  }

  /** The account of the nth request that ended, counted from 0, once it has. */
  async record(at = 0): Promise<ProxyRecord> {
    await this.when(({ records }) => records.length > at);
    const record = this.records[at];
    if (record === undefined) throw new Error('no record');
    return record;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.close({ drainMs: 0 });
    assert.equal(this.proxy.open, 0, 'requests are open after the proxy has closed');
    assert.equal(this.#clock.pending, 0, 'timers are left after the proxy has closed');
  }
}

/** Passwords are where a test puts them, and nowhere on the machine that it runs on. */
export const nobodysSources = (clock: Clock, environment: Environment = {}): BookParts => ({
  clock,
  environment,
  keyring: {
    find: async () => ({ at: 'absent' }),
    store: async () => ({ at: 'unavailable', why: 'a test has no keyring' }),
    remove: async () => ({ at: 'absent' }),
  },
  loginFile: undefined,
  loginName: 'tester',
  startedMs: clock.wallMs(),
  prompted: new Map(),
});
export const NO_TICKETS: Ticketing = {
  offer: async () => ({ no: 'a test has no tickets' }),
  ticketExpiry: async () => undefined,
};

/** A clock that knows how many of its tasks still wait. */
class CountingClock implements Clock {
  readonly #inner: Clock;
  pending = 0;

  constructor(inner: Clock) {
    this.#inner = inner;
  }

  now(): number {
    return this.#inner.now();
  }

  wallMs(): number {
    return this.#inner.wallMs();
  }

  after(delayMs: number, task: () => void): Disposable {
    let waits = true;
    const over = () => {
      if (waits) this.pending -= 1;
      waits = false;
    };
    this.pending += 1;
    const handle = this.#inner.after(delayMs, () => {
      over();
      task();
    });
    return {
      [Symbol.dispose]() {
        over();
        handle[Symbol.dispose]();
      },
    };
  }
}
