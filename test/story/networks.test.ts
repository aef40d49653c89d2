import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { systemClock } from '../../src/core/clock.ts';
import { type PacSourceOptions, pacSource } from '../../src/pac/source.ts';
import { cachingResolver } from '../../src/upstream/resolver.ts';
import { watchBeside } from '../../src/watch/file.ts';
import { type NetworkPart, networkWatch } from '../../src/watch/network.ts';
import { RESOLVE_ON_LOOPBACK } from '../support/dnsmasq.ts';
import { FAR_IP, FarNetwork } from '../support/far-network.ts';
import { isInside, noNamespace, runInside } from '../support/namespace.ts';
import { playedSystem } from '../support/system-world.ts';

const PAC = 'function FindProxyForURL() { return "PROXY proxy.office.test:8080; DIRECT" }';

/** A watch of this network, and a PAC that lies at the office and is renewed whenever the network changes. */
function laptop(whenUnreachable: PacSourceOptions['whenUnreachable']) {
  const clock = systemClock;
  const source = pacSource({
    pac: `http://${FAR_IP}/proxy.pac`,
    whenUnreachable,
    clock,
    observe: () => undefined,
    resolver: cachingResolver(clock),
    isSelf: () => false,
    system: playedSystem(),
    watchFile: (path, changed) => watchBeside(path, clock, changed),
    stateDir: undefined,
  });
  const watch = networkWatch({ clock });
  const seen: NetworkPart[] = [];
  const listening = watch.onChange((changed) => {
    seen.push(...changed);
    source.renew();
  });
  const at = () => source.state.at;
  /** Milliseconds until it is so. */
  const until = async (what: string, isSo: () => boolean): Promise<number> => {
    const fromMs = performance.now();
    while (!isSo()) {
      const ms = performance.now() - fromMs;
      assert.ok(
        ms < 10_000,
        `${what} does not happen: ${JSON.stringify(source.state)}, generation ${watch.generation}`,
      );
      await wait(10);
    }
    return performance.now() - fromMs;
  };
  return {
    source,
    watch,
    seen,
    at,
    until,
    async [Symbol.asyncDispose]() {
      listening[Symbol.dispose]();
      watch[Symbol.dispose]();
      await source[Symbol.asyncDispose]();
    },
  };
}

function tests(): void {
  test('the PAC of the office comes with its network and goes with it', async () => {
    await using office = await FarNetwork.start(PAC);
    await using me = laptop('direct');
    await me.source.ready;
    assert.equal(me.at(), 'unreachable');

    office.plug();
    await me.until('the office', () => me.at() === 'script' && me.watch.generation === 1);
    assert.ok(me.seen.includes('addresses') && me.seen.includes('routes'), me.seen.join());
    await me.until('the office again', () => me.at() === 'script');

    // The VPN changes the routes, and nobody answers: the old script counts for as long as it takes to know.
    const before = me.watch.generation;
    office.freeze();
    office.addRoute('10.99.0.0/16');
    await me.until('the change', () => me.watch.generation === before + 1);
    assert.equal(me.at(), 'script');
    const ms = await me.until('the end of the office', () => me.at() === 'unreachable');
    assert.ok(ms < 3_500, `${ms} ms`);
    office.thaw();
    await me.until('the office again', () => me.at() === 'script');

    // Without a cable no time is lost at all.
    office.pull();
    await me.until('the second change', () => me.watch.generation === before + 2);
    const again = await me.until('the café', () => me.at() === 'unreachable');
    assert.ok(again < 1_000, `${again} ms`);
  });

  test('other name servers are another network', async () => {
    await using me = laptop('direct');
    writeFileSync('/etc/resolv.conf', 'nameserver 127.0.0.2\n');
    await me.until('the change', () => me.watch.generation === 1);
    assert.deepEqual(me.seen, ['resolver']);
  });
}

if (isInside()) tests();
else {
  const skip = noNamespace();
  test('networks that change', { skip, timeout: 60_000 }, () => runInside(import.meta.url, RESOLVE_ON_LOOPBACK));
}
