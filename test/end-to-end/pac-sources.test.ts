import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import type { ProxyEvent } from '../../src/contracts/event.ts';
import { systemWorld } from '../../src/pac/discovery/world.ts';
import { type PacSourceOptions, pacSource } from '../../src/pac/fetch/source.ts';
import { cachingResolver } from '../../src/upstream/dial/resolver.ts';
import { systemClock } from '../../src/util/clock.ts';
import { Dnsmasq, RESOLVE_ON_LOOPBACK } from '../support/dnsmasq.ts';
import { isInside, MACHINE_IP, noNamespace, runInside } from '../support/namespace.ts';
import { missing } from '../support/requires.ts';
import { playedSystem } from '../support/system-world.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { trusting } from '../support/trusting.ts';

const PAC = 'function FindProxyForURL() { return "PROXY proxy.corp.test:8080" }';

const sourceOf = (pac: string, more: Partial<PacSourceOptions> = {}) =>
  pacSource({
    pac,
    whenUnreachable: 'direct',
    clock: systemClock,
    observe: () => undefined,
    resolver: cachingResolver(systemClock),
    isSelf: () => false,
    secure: trusting(),
    system: systemWorld({}),
    watchFile: () => ({ [Symbol.dispose]: () => undefined }),
    stateDir: undefined,
    ...more,
  });

/** A web server on the port that WPAD takes; it remembers what it was asked for. */
async function webOnPort80() {
  const asked: string[] = [];
  const web = createServer((request, answer) => {
    asked.push(`${request.headers.host}${request.url}`);
    answer.setHeader('Content-Type', 'application/x-ns-proxy-autoconfig').end(PAC);
  }).listen(80, MACHINE_IP);
  await once(web, 'listening');
  return { asked, [Symbol.asyncDispose]: async () => void (await once(web.close(), 'close')) };
}

function tests(): void {
  const inDomain = (domain: string) => playedSystem({ files: { '/etc/resolv.conf': `search ${domain}\n` } });

  test('WPAD finds the PAC of the organisation by DNS, and asks for no name outside it', async () => {
    using folder = temporaryFolder();
    await using dns = await Dnsmasq.start(folder.path, { 'wpad.corp.test': [MACHINE_IP], 'wpad.test': [MACHINE_IP] });
    await using web = await webOnPort80();
    const notices: ProxyEvent[] = [];
    await using source = sourceOf('auto', {
      system: inDomain('a.eng.corp.test'),
      observe: (event) => void notices.push(event),
    });
    await source.ready;
    assert.ok(source.state.at === 'script');
    assert.equal(source.state.script.source, 'http://wpad.corp.test/wpad.dat');
    assert.equal(source.state.script.namedBy, 'untrusted-pac');
    assert.deepEqual(web.asked, ['wpad.corp.test/wpad.dat']);
    for (const name of ['wpad.a.eng.corp.test', 'wpad.eng.corp.test', 'wpad.corp.test']) {
      assert.ok(dns.queries(name).A > 0, name);
    }
    assert.deepEqual(dns.queries('wpad.test'), { A: 0, AAAA: 0 });
    assert.equal(dns.queries('wpad').A, 0);
    assert.equal(notices.length, 1);
  });

  test('without a host of that name there is no PAC, and that is known at once', async () => {
    using folder = temporaryFolder();
    await using _dns = await Dnsmasq.start(folder.path, { 'wpad.test': [MACHINE_IP] });
    const fromMs = performance.now();
    await using source = sourceOf('auto', { system: inDomain('corp.test') });
    await source.ready;
    assert.equal(source.state.at, 'none');
    assert.ok(performance.now() - fromMs < 2_500);
  });

  test('without a name server no client waits longer than three seconds', async () => {
    const fromMs = performance.now();
    await using source = sourceOf('http://pac.corp.test/proxy.pac');
    await source.ready;
    assert.equal(source.state.at, 'unreachable');
    assert.ok(performance.now() - fromMs < 3_500);
  });
}

if (isInside()) tests();
else {
  const skip = noNamespace() || missing('dnsmasq-base');
  test('where a PAC comes from, with a real name server', { skip, timeout: 60_000 }, () =>
    runInside(import.meta.url, RESOLVE_ON_LOOPBACK),
  );

  test('the system that this test runs on can be asked, and nothing is started that stays', async () => {
    await using source = sourceOf('system', { system: systemWorld(process.env) });
    await source.ready;
    assert.notEqual(source.state.at, 'unreachable');
  });
}
