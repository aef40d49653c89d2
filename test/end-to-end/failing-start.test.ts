/** A start that fails leaves nothing of what it had opened before, at whichever step it fails. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { BuildAuthenticator } from '../../src/app/generation.ts';
import { startProxy } from '../../src/app/start.ts';
import type { Config } from '../../src/config/config.ts';
import { type ConfigInput, resolveOptions } from '../../src/config/schema.ts';
import type { Exporter } from '../../src/contracts/event.ts';
import { noAuthentication } from '../../src/identity/none.ts';
import { systemClock } from '../../src/util/clock.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { CountingClock, NO_TICKETS, testCredentialSources } from '../support/proxy-under-test.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';

/** Files and sockets of this process; 0 where the system does not list them. */
const descriptors = (): number => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0);

/** Descriptors are closed by threads of libuv and at the end of a turn: asks until there are no more than `most`. */
async function untilClosed(most: number): Promise<void> {
  await until(() => descriptors() <= most, `at most ${most} descriptors are open`, 3_000);
}

/** The configuration as it is until its `at`th value is read, which throws. */
function failingAt(config: Config, at: number): Config {
  let reads = 0;
  const watched = <T extends object>(values: T, path: string): T =>
    new Proxy(values, {
      get(target, key, receiver) {
        const value: unknown = Reflect.get(target, key, receiver);
        if (typeof key === 'symbol' || typeof value === 'function') return value;
        reads += 1;
        if (reads === at) throw new Error(`step ${at}: ${path}${key}`);
        // An address is one value: that a socket, once it is open, has one cannot fail.
        return typeof value === 'object' && value !== null && key !== 'listen'
          ? watched(value, `${path}${key}.`)
          : value;
      },
    });
  // What is frozen may not be shown as anything else.
  return watched(structuredClone(config), '');
}

/** Counts how often it was disposed. */
class CountedExporter implements Exporter {
  readonly name = 'counted';
  disposals = 0;
  observe(): void {}
  async [Symbol.asyncDispose](): Promise<void> {
    this.disposals += 1;
  }
}

interface Attempt {
  readonly error: unknown;
  readonly timers: number;
  readonly disposals: number;
}

/** Starts a proxy, and closes it at once when it serves. */
async function attempt(config: Config, authenticators: readonly BuildAuthenticator[] = []): Promise<Attempt> {
  const clock = new CountingClock(systemClock);
  const exporter = new CountedExporter();
  const options = { clock, credentials: testCredentialSources(clock), kerberos: NO_TICKETS, exporters: [exporter] };
  let error: unknown;
  try {
    const proxy = await startProxy(config, { ...options, overrides: { authenticators } });
    await proxy.close({ drainMs: 0 });
  } catch (thrown) {
    error = thrown;
  }
  return { error, timers: clock.pending, disposals: exporter.disposals };
}

function settingsIn(folder: string, relay: 'auto' | 'portable'): ConfigInput {
  const pac = join(folder, 'proxy.pac');
  writeFileSync(pac, 'function FindProxyForURL() { return "DIRECT" }');
  return {
    listen: ['http://127.0.0.1:0', `unix:${join(folder, 'proxy.sock')}`],
    relay,
    log: { format: 'json', file: join(folder, 'access.log') },
    limits: { state: join(folder, 'quota.json'), quota: { per: 'client', bytes: '1GiB', every: '1d' } },
    routes: { pac },
  };
}

for (const relay of ['auto', 'portable'] as const) {
  test(
    `relay ${relay}: wherever a start fails, no timer, handle or descriptor is left`,
    { timeout: 120_000 },
    leavesNothing(async () => {
      using folder = temporaryFolder();
      const config = resolveOptions(settingsIn(folder.path, relay));
      // What the process opens once, such as the set of the epoll sockets, is no leak.
      assert.equal((await attempt(config)).error, undefined);
      const before = descriptors();
      const failedAt: string[] = [];
      for (let at = 1; ; at++) {
        const { error, timers, disposals } = await attempt(failingAt(config, at));
        assert.deepEqual([timers, disposals], [0, 1], `${error}`);
        await untilClosed(before);
        if (error === undefined) break;
        assert.ok(error instanceof Error);
        failedAt.push(error.message.replace(/^step \d+: /, ''));
      }
      // The steps, by the settings that they read; the last one is the PAC, when the listeners are open.
      for (const step of ['log.file', 'limits.state', 'relay', 'access', 'guard.deny', 'clients.allow', 'listen'])
        assert.ok(failedAt.includes(step), `no start failed at ${step}: ${failedAt.join(', ')}`);
      assert.equal(failedAt.at(-1), 'upstreams.length');
    }),
  );
}

test(
  'a start that fails at its log file, a certificate authority, an authenticator or a listener leaves nothing',
  leavesNothing(async () => {
    using folder = temporaryFolder();
    await using other = await RawOrigin.listen(answering(() => ok('taken')));
    const settings = settingsIn(folder.path, 'auto');
    const config = resolveOptions(settings);
    assert.equal((await attempt(config)).error, undefined);
    const before = descriptors();
    let built = 0;
    const authenticator: BuildAuthenticator = () => {
      built += 1;
      return {
        ...noAuthentication,
        [Symbol.dispose]() {
          built -= 1;
        },
      };
    };
    const unreachable: BuildAuthenticator = () => {
      throw new Error('no such directory server');
    };
    const cases: readonly [Config, RegExp, BuildAuthenticator[]][] = [
      [
        { ...config, log: { ...config.log, format: 'json', file: join(folder.path, 'no', 'log') } },
        /log\.file: .*no such folder/,
        [authenticator],
      ],
      [{ ...config, upstreams: [{ host: 'proxy.test', ca: join(folder.path, 'no.pem') }] }, /no\.pem/, [authenticator]],
      [config, /no such directory server/, [authenticator, authenticator, unreachable]],
      [
        resolveOptions({ ...settings, listen: ['http://127.0.0.1:0', `http://${other.authority}`] }),
        /EADDRINUSE|in use/,
        [authenticator],
      ],
    ];
    for (const [failing, message, authenticators] of cases) {
      const { error, timers, disposals } = await attempt(failing, authenticators);
      assert.match(String(error), message);
      assert.deepEqual([timers, disposals, built], [0, 1, 0], String(error));
      await untilClosed(before);
    }
  }),
);
