/** Which relay moves the bytes, where that is reported, and what a reload does to tunnels that are open. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { resolveOptions } from '../../src/config/schema.ts';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { builtCommand, viaduct, viaductEnds } from '../support/cli.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { counting, portOf, TrafficOrigin, tunnel } from '../support/traffic.ts';
import { until } from '../support/until.ts';

test('the start and check say which relay is active', async () => {
  for (const wanted of ['auto', 'portable'] as const) {
    const active = activeRelay(wanted);
    using running = viaduct(['-p', '0', '--relay', wanted]);
    await running.says(`relay: ${active}\n`);
    const { out } = await viaductEnds(['check', '--relay', wanted]);
    assert.match(out, new RegExp(`^relay on this machine: ${active}$`, 'm'));
  }
});

test('where it is not built, auto starts without it, and native does not start', () => {
  using folder = temporaryFolder();
  const command = join(folder.path, 'cli.js');
  copyFileSync(builtCommand(), command);
  for (const file of readdirSync(dirname(builtCommand()))) {
    if (/^(?:start|command|packages)\.js$/.test(file))
      copyFileSync(join(dirname(builtCommand()), file), join(folder.path, file));
  }
  symlinkSync(join(dirname(dirname(builtCommand())), 'node_modules'), join(folder.path, 'node_modules'));
  const check = (relay: string) => {
    const done = spawnSync(process.execPath, [command, 'check', '--relay', relay], {
      encoding: 'utf8',
      env: { HOME: folder.path, XDG_CONFIG_HOME: folder.path },
    });
    return [done.status, `${done.stdout}${done.stderr}`] as const;
  };
  const [status, said] = check('auto');
  assert.equal(status, 0);
  assert.match(said, /^relay on this machine: portable$/m);
  const [refused, why] = check('native');
  assert.equal(refused, 2);
  assert.match(why, /^viaduct: .*there is no native relay: .*\n$/);
});

test('an unknown relay is a mistake of the command line', async () => {
  const { code, err } = await viaductEnds(['run', '-p', '0', '--relay', 'fast']);
  assert.equal(code, 2);
  assert.match(err, /--relay/);
});

/** A rate is counted in steps until it holds, and then for so long. */
const LOOK_MS = 100;
const MEASURED_MS = 1_000;

test(
  'an open tunnel obeys a bandwidth limit that a reload sets, and runs free when it is gone',
  leavesNothing(async () => {
    await using origin = await TrafficOrigin.listen();
    await using proxy = await ProxyUnderTest.start({ relay: 'auto' });
    using download = counting(await tunnel(portOf(proxy.proxy.url), origin, 'flood 65536'));
    await until(() => download.down.total > 0, 'the download has begun');
    const rate = 1_000_000;
    const settings = { listen: 'http://127.0.0.1:0', log: { format: 'off' }, relay: 'auto' } as const;
    await proxy.proxy.reload(resolveOptions({ ...settings, limits: { bandwidth: { per: 'proxy', rate } } }));
    // What the kernels hold has been let through before the limit.
    let before = download.down.total;
    for (let same = 0; same < 3; ) {
      await wait(LOOK_MS);
      const now = download.down.total;
      same = now - before < rate ? same + 1 : 0;
      before = now;
    }
    const from = download.down.total;
    await wait(MEASURED_MS);
    const part = (download.down.total - from) / rate;
    assert.ok(part > 0.7 && part < 1.3, `${part} of the rate`);
    await proxy.proxy.reload(resolveOptions(settings));
    const free = download.down.total;
    await until(() => download.down.total - free > 3 * rate, 'three times the rate arrives at once', 300);
  }),
);

test(
  'a quota that a reload sets counts, and ends, a tunnel that was open before',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await ProxyUnderTest.start({ relay: 'auto' });
    using client = await proxy.tunnel(origin.authority);
    client.send('before');
    await client.until('before');
    const settings = { listen: 'http://127.0.0.1:0', log: { format: 'off' } } as const;
    const limits = { quota: { per: 'client', bytes: 20, every: '1h' } } as const;
    await proxy.proxy.reload(resolveOptions({ ...settings, limits }));
    client.send('x'.repeat(30));
    assert.equal(await client.ended(), 'reset');
    const { end, bytesUp, limits: named } = await proxy.record();
    assert.equal(end, 'limit');
    assert.equal(bytesUp, 6 + 20);
    assert.equal(named.length, 1);
  }),
);

test(
  'tunnels of both relays count as open, and are aborted when their time is up',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    for (const relay of ['auto', 'portable'] as const) {
      await using proxy = await ProxyUnderTest.start({ relay });
      using client = await proxy.tunnel(origin.authority);
      client.send('here');
      await client.until('here');
      assert.equal(proxy.proxy.open, 1);
      const closing = proxy.proxy.close({ drainMs: 50 });
      const { finished, aborted, longestMs } = await closing;
      assert.deepEqual([finished, aborted], [0, 1]);
      assert.ok(longestMs >= 50, `${longestMs} ms`);
      assert.equal(await client.ended(), 'reset');
      const { end, bytesUp, bytesDown } = await proxy.record();
      assert.deepEqual([end, bytesUp, bytesDown], ['aborted', 4, 4]);
    }
  }),
);
