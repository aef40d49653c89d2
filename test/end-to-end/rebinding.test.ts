import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ProxyOptions, startProxy } from '../../src/index.ts';
import { Dnsmasq, RESOLVE_ON_LOOPBACK } from '../support/dnsmasq.ts';
import { isInside, MACHINE_IP, noNamespace, runInside } from '../support/namespace.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { portOf } from '../support/traffic.ts';

const BAD_IP = '127.0.0.1';

/** Clients on other machines reach the proxy, and may reach one address of the inner network. */
const settings: ProxyOptions = {
  listen: '0.0.0.0:0',
  open: true,
  guard: { allow: [MACHINE_IP] },
  timeouts: { connect: '2s' },
};

async function get(proxy: { readonly url: string }, authority: string): Promise<{ status: number; body: string }> {
  using client = await rawClient(portOf(proxy.url));
  client.send(`GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  await client.until(/\r\n\r\n.*[a-z\n]$/s);
  const [head = '', body = ''] = client.text.split('\r\n\r\n');
  return { status: Number(head.split(' ')[1]), body };
}

/** A public service, and a secret one at the same port of loopback. */
async function services() {
  const good = await RawOrigin.listen(
    answering(() => ok('public')),
    { host: MACHINE_IP },
  );
  const bad = await RawOrigin.listen(
    answering(() => ok('secret')),
    { host: BAD_IP, port: good.port },
  );
  return {
    port: good.port,
    good,
    bad,
    async [Symbol.asyncDispose]() {
      await good[Symbol.asyncDispose]();
      await bad[Symbol.asyncDispose]();
    },
  };
}

function tests(): void {
  test('a name is looked up once, and the address that was judged is the one that is dialled', async () => {
    using folder = temporaryFolder();
    await using dns = await Dnsmasq.start(folder.path, { 'rebind.test': [MACHINE_IP] });
    await using at = await services();
    await using proxy = await startProxy(settings);
    assert.deepEqual(await get(proxy, `rebind.test:${at.port}`), { status: 200, body: 'public' });
    assert.deepEqual(dns.queries('rebind.test'), { A: 1, AAAA: 1 });
    await dns.change({ 'rebind.test': [BAD_IP] });
    // Cached for a while: still the address that was judged, and the name server is not asked.
    assert.deepEqual(await get(proxy, `rebind.test:${at.port}`), { status: 200, body: 'public' });
    assert.deepEqual(dns.queries('rebind.test'), { A: 1, AAAA: 1 });
    // A proxy without that cache gets the other answer, and judges it anew.
    await using fresh = await startProxy(settings);
    assert.equal((await get(fresh, `rebind.test:${at.port}`)).status, 403);
    assert.deepEqual(dns.queries('rebind.test'), { A: 2, AAAA: 2 });
    assert.equal(at.bad.connections.length, 0);
  });

  test('a name with a good and a bad address is dialled at the good one only', async () => {
    using folder = temporaryFolder();
    await using dns = await Dnsmasq.start(folder.path, {
      'both.test': [BAD_IP, '::1', '169.254.169.254', MACHINE_IP],
      'bad.test': [BAD_IP, '::1'],
      'mapped.test': ['::ffff:127.0.0.1'],
      'metadata.test': ['169.254.169.254'],
    });
    await using at = await services();
    await using proxy = await startProxy(settings);
    assert.deepEqual(await get(proxy, `both.test:${at.port}`), { status: 200, body: 'public' });
    for (const name of ['bad', 'mapped', 'metadata']) {
      assert.equal((await get(proxy, `${name}.test:${at.port}`)).status, 403, name);
    }
    assert.deepEqual(dns.queries('both.test'), { A: 1, AAAA: 1 });
    assert.equal((await get(proxy, `none.test:${at.port}`)).status, 502);
    assert.equal(at.bad.connections.length, 0);
  });

  /** Answers change after 0 to 6 ms, and requests come every ms: an answer changes at any moment of a request. */
  const FLIP_MS_MAX = 7;
  const ASK_MS = 1;
  test('names that change all the time between check and use gain nothing', async () => {
    using folder = temporaryFolder();
    const names = Array.from({ length: 400 }, (_, at) => `n${at}.test`);
    const all = (address: string) => Object.fromEntries(names.map((name) => [name, [address]]));
    await using dns = await Dnsmasq.start(folder.path, all(MACHINE_IP));
    await using at = await services();
    await using proxy = await startProxy(settings);
    let isOver = false;
    const flipping = (async () => {
      for (let turn = 1; !isOver; turn++) {
        await dns.change(all(turn % 2 === 0 ? MACHINE_IP : BAD_IP));
        await sleep(turn % FLIP_MS_MAX);
      }
    })();
    const statuses = new Map<number, number>();
    const asked: string[] = [];
    const seen = (status: number) => statuses.get(status) ?? 0;
    for (const name of names) {
      if (asked.length >= 100 && seen(200) >= 10 && seen(403) >= 10) break;
      asked.push(name);
      const { status, body } = await get(proxy, `${name}:${at.port}`);
      assert.ok(!body.includes('secret'), name);
      statuses.set(status, seen(status) + 1);
      await sleep(ASK_MS);
    }
    isOver = true;
    await flipping;
    assert.deepEqual([...statuses.keys()].sort(), [200, 403], 'both answers were seen');
    assert.equal(at.bad.connections.length, 0);
    for (const name of asked) assert.deepEqual(dns.queries(name), { A: 1, AAAA: 1 }, name);
  });
}

if (isInside()) tests();
else {
  const skip = noNamespace() || missing('dnsmasq-base');
  test('rebinding, with a real name server', { skip, timeout: 60_000 }, () =>
    runInside(import.meta.url, RESOLVE_ON_LOOPBACK),
  );
}
