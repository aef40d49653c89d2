/**
 * What a configuration builds ends with the last request that began under it; what a reload cannot change is reported.
 */
import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { BuildAuthenticator } from '../../src/app/generation.ts';
import { canSharePorts } from '../../src/cluster/ports.ts';
import type { Config } from '../../src/config/config.ts';
import { type ConfigInput, resolveOptions } from '../../src/config/schema.ts';
import { noAuthentication } from '../../src/identity/none.ts';
import { viaduct } from '../support/cli.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** Authenticators of which each generation owns one. */
class Authenticators {
  readonly ended: string[] = [];
  #onEnd: () => void = () => undefined;

  readonly build: BuildAuthenticator = ({ name }) => ({
    ...noAuthentication,
    [Symbol.dispose]: () => {
      this.ended.push(name);
      this.#onEnd();
    },
  });

  async end(name: string): Promise<void> {
    while (!this.ended.includes(name)) {
      await new Promise<void>((resolve) => {
        this.#onEnd = resolve;
      });
    }
  }
}

const named = (name: string, more: ConfigInput = {}): Config =>
  resolveOptions({ listen: 'http://127.0.0.1:0', log: { format: 'off' }, name, ...more });

for (const relay of ['auto', 'portable'] as const)
  test(
    `relay ${relay}: a tunnel outlives reloads, and what its configuration built ends with it`,
    leavesNothing(async () => {
      const built = new Authenticators();
      await using origin = await RawOrigin.listen(echo);
      await using proxy = await ProxyUnderTest.start(
        { name: 'one', relay },
        { overrides: { authenticators: [built.build] } },
      );
      using tunnel = await proxy.tunnel(origin.authority);
      await proxy.proxy.reload(named('two', { relay }));
      await proxy.proxy.reload(named('three', { relay, guard: { deny: ['loopback'] } }));
      await built.end('two');
      tunnel.send('still here');
      await tunnel.until('still here');
      assert.deepEqual(built.ended, ['two']);
      tunnel.end();
      await tunnel.ended();
      await built.end('one');
      assert.deepEqual(built.ended, ['two', 'one']);
      assert.equal((await proxy.record()).end, 'client');
      await proxy.proxy.close({ drainMs: 0 });
      assert.deepEqual(built.ended, ['two', 'one', 'three']);
    }),
  );

test(
  'a response that is under way holds its configuration, and a proxy that is stopped ends them all',
  leavesNothing(async () => {
    const built = new Authenticators();
    await using origin = await RawOrigin.listen((connection) =>
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'),
    );
    await using proxy = await ProxyUnderTest.start({ name: 'one' }, { overrides: { authenticators: [built.build] } });
    using client = await proxy.client();
    client.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`);
    await client.until('half');
    await proxy.proxy.reload(named('two'));
    await proxy.proxy.reload(named('three'));
    await built.end('two');
    assert.deepEqual(built.ended, ['two']);
    await proxy.proxy.close({ drainMs: 0 });
    assert.deepEqual([...built.ended].sort(), ['one', 'three', 'two']);
    assert.equal(proxy.records.length, 1, 'the record is written before the proxy has closed');
  }),
);

test(
  'an authenticator that cannot be closed is a notice, and the proxy serves and closes',
  leavesNothing(async () => {
    const failing: BuildAuthenticator = () => ({
      ...noAuthentication,
      [Symbol.dispose]() {
        throw new Error('the directory server is gone');
      },
    });
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await ProxyUnderTest.start({ name: 'one' }, { overrides: { authenticators: [failing] } });
    await proxy.proxy.reload(named('two'));
    const isReported = ({ events }: ProxyUnderTest): boolean =>
      events.some(
        (event) => event.type === 'notice' && /^closing failed .*: the directory server is gone$/.test(event.message),
      );
    await proxy.when(isReported);
    const { port } = new URL(proxy.proxy.url);
    assert.notEqual(Number(port), 0);
    using tunnel = await proxy.tunnel(origin.authority);
    tunnel.send('served');
    await tunnel.until('served');
  }),
);

test(
  'a reload that is overtaken by the end of the proxy opens nothing',
  leavesNothing(async () => {
    const built = new Authenticators();
    await using proxy = await ProxyUnderTest.start({ name: 'one' }, { overrides: { authenticators: [built.build] } });
    const prepared = await proxy.proxy.prepare(named('two', { listen: 'http://127.0.0.2:0' }));
    await proxy.proxy.close({ drainMs: 0 });
    await assert.rejects(prepared.commit(), /the proxy is stopping/);
    assert.deepEqual(built.ended, ['one', 'two']);
  }),
);

test(
  'a reload that fails closes what it had built and opened, and leaves what is in force',
  leavesNothing(async () => {
    const built = new Authenticators();
    using folder = temporaryFolder();
    await using other = await RawOrigin.listen(echo);
    await using proxy = await ProxyUnderTest.start({ name: 'one' }, { overrides: { authenticators: [built.build] } });
    const log = { format: 'json', file: join(folder.path, 'access.log') } as const;
    const listen = ['http://127.0.0.1:0', 'http://127.0.0.2:0', `http://${other.authority}`];
    const { urls } = proxy.proxy;
    await assert.rejects(proxy.proxy.reload(named('two', { listen, log })), /EADDRINUSE/);
    assert.deepEqual(built.ended, ['two']);
    assert.deepEqual(proxy.proxy.urls, urls);
    using tunnel = await proxy.tunnel(other.authority);
    tunnel.send('as before');
    await tunnel.until('as before');
    assert.equal(readFileSync(log.file, 'utf8'), '');
  }),
);

const cannotShare = (await canSharePorts()) ? false : 'ports cannot be shared here';
for (const [workers, skip] of [
  [1, false],
  [2, cannotShare],
] as const)
  test(`with workers: ${workers} a reload reports each setting that it cannot apply: from the next start`, {
    skip,
  }, async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'viaduct.yaml');
    const write = (text: string) => {
      writeFileSync(`${path}.new`, `listen: 127.0.0.1:0\nlog: { format: off }\nreload: signal\n${text}`);
      renameSync(`${path}.new`, path);
    };
    write(`workers: ${workers}\n`);
    using running = viaduct(['-c', path], { XDG_STATE_HOME: join(folder.path, 'state') });
    await running.says(/listening on .*\n/);
    const state = join(folder.path, 'quota.json');
    write(
      `workers: 3\nrelay: portable\nverbose: true\nlimits: { state: ${state}, quota: { per: client, bytes: 1GiB, every: 1d } }\n`,
    );
    running.child.kill('SIGHUP');
    for (const name of ['workers', 'relay', 'limits.state', 'verbose'])
      await running.says(new RegExp(`viaduct: ${name}: the new value applies from the next start: [a-z].*\n`));
    running.child.kill('SIGTERM');
    const { err } = await running.ended;
    assert.equal(err.match(/from the next start/g)?.length, 4, err);
    // The quotas are in the file of the start.
    assert.throws(() => readFileSync(state), /ENOENT/);
  });
