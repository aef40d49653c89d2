import assert from 'node:assert/strict';
import type { RunningProxy } from '../../src/app/running-proxy.ts';
import { type StartOptions, startProxy } from '../../src/app/start.ts';
import { type ConfigInput, resolveOptions } from '../../src/config/schema.ts';
import type { Exporter, ProxyEvent } from '../../src/contracts/event.ts';
import type { ProxyRecord } from '../../src/contracts/record.ts';
import type { CredentialStoreDeps } from '../../src/credentials/credential-store.ts';
import type { Environment } from '../../src/credentials/environment.ts';
import type { KerberosProvider } from '../../src/upstream-auth/gssapi/gssapi.ts';
import { type Clock, systemClock } from '../../src/util/clock.ts';
import { type RawPeer, rawClient } from './raw-client.ts';
import { connectTo } from './requests.ts';

/** A proxy in this process, and every event that it has reported. Disposing it also checks that no timer is left. */
export class ProxyUnderTest implements AsyncDisposable {
  readonly proxy: RunningProxy;
  readonly port: number;
  readonly events: ProxyEvent[];
  readonly records: ProxyRecord[];
  readonly #clock: CountingClock;
  readonly #waiting: Set<() => void>;

  private constructor(
    proxy: RunningProxy,
    clock: CountingClock,
    events: ProxyEvent[],
    records: ProxyRecord[],
    waiting: Set<() => void>,
  ) {
    this.proxy = proxy;
    this.port = Number(new URL(proxy.url).port);
    this.events = events;
    this.records = records;
    this.#clock = clock;
    this.#waiting = waiting;
  }

  /** On a free port of 127.0.0.1, without a log, unless the configuration says otherwise. */
  static async start(config: ConfigInput = {}, options: StartOptions = {}): Promise<ProxyUnderTest> {
    const events: ProxyEvent[] = [];
    const records: ProxyRecord[] = [];
    const waiting = new Set<() => void>();
    const exporter: Exporter = {
      name: 'test',
      observe(event) {
        events.push(event);
        if (event.type === 'close') records.push(event.record);
        for (const check of [...waiting]) check();
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const clock = new CountingClock(options.clock ?? systemClock);
    const unaware = { credentials: testCredentialSources(clock), kerberos: NO_TICKETS };
    const { environment } = options.credentials ?? unaware.credentials;
    const written = { listen: 'http://127.0.0.1:0', log: { format: 'off' }, ...config } as const;
    const settings = resolveOptions(written, {}, environment);
    const proxy = await startProxy(settings, { ...unaware, ...options, exporters: [exporter], clock });
    return new ProxyUnderTest(proxy, clock, events, records, waiting);
  }

  client(): Promise<RawPeer> {
    return rawClient(this.port);
  }

  /** A client whose CONNECT to `authority` was answered with 200; what came is the tunnel's from here on. */
  async tunnel(authority: string): Promise<RawPeer> {
    const client = await this.client();
    client.send(connectTo(authority));
    const head = await client.until('\r\n\r\n');
    assert.match(head, /^HTTP\/1\.1 200 /);
    client.forget(head.indexOf('\r\n\r\n') + 4);
    return client;
  }

  /** Resolves once `isTrue` holds; it is checked at every event. */
  async when(isTrue: (self: this) => boolean): Promise<void> {
    while (!isTrue(this)) {
      await new Promise<void>((resolve) => {
        const check = () => {
          this.#waiting.delete(check);
          resolve();
        };
        this.#waiting.add(check);
      });
    }
  }

  /** Forgets the events so far, once every request that was received has also ended. */
  async forget(): Promise<void> {
    await this.when(({ events, records }) => records.length >= events.filter(({ type }) => type === 'request').length);
    this.events.length = 0;
    this.records.length = 0;
  }

  /** The record of the nth request that ended, counted from 0, once it has. */
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

/** Passwords come from the test's own `environment`: no keyring, no file and no login of this machine. */
export const testCredentialSources = (clock: Clock, environment: Environment = {}): CredentialStoreDeps => ({
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
export const NO_TICKETS: KerberosProvider = {
  createContext: async () => ({ unavailable: 'a test has no tickets' }),
  ticketExpiry: async () => undefined,
};

/** Counts the tasks of a clock that have not run yet. */
export class CountingClock implements Clock {
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
