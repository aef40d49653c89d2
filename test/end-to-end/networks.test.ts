import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { watchFile } from '../../src/files/watch-file.ts';
import { type NetworkPart, networkWatch } from '../../src/network/network-watch.ts';
import { type PacSourceOptions, pacSource } from '../../src/pac/fetch/source.ts';
import { cachingResolver } from '../../src/upstream/dial/resolver.ts';
import { systemClock } from '../../src/util/clock.ts';
import { RESOLVE_ON_LOOPBACK } from '../support/dnsmasq.ts';
import { FAR_IP, FarNetwork } from '../support/far-network.ts';
import { isInside, noNamespace, runInside } from '../support/namespace.ts';
import { playedSystem } from '../support/system-world.ts';
import { trusting } from '../support/trusting.ts';
import { until } from '../support/until.ts';

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
    secure: trusting(),
    system: playedSystem(),
    watchFile: (path, changed) => watchFile(path, clock, changed),
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
  const msUntil = async (what: string, isSo: () => boolean): Promise<number> => {
    const fromMs = performance.now();
    await until(isSo, what).catch((error: unknown) => {
      const { generation } = watch;
      throw new Error(`${JSON.stringify(source.state)}, generation ${generation}`, { cause: error });
    });
    return performance.now() - fromMs;
  };
  return {
    source,
    watch,
    seen,
    at,
    msUntil,
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
    await me.msUntil('the office', () => me.at() === 'script' && me.watch.generation === 1);
    assert.ok(me.seen.includes('addresses') && me.seen.includes('routes'), me.seen.join());
    await me.msUntil('the office again', () => me.at() === 'script');

    // The VPN changes the routes, and the server of the PAC does not answer: the old script counts until that is known.
    const before = me.watch.generation;
    office.freeze();
    office.addRoute('10.99.0.0/16');
    await me.msUntil('the change', () => me.watch.generation === before + 1);
    assert.equal(me.at(), 'script');
    const ms = await me.msUntil('the end of the office', () => me.at() === 'unreachable');
    assert.ok(ms < 3_500, `${ms} ms`);
    office.thaw();
    await me.msUntil('the office again', () => me.at() === 'script');

    // Without a cable no time is lost at all.
    office.pull();
    await me.msUntil('the second change', () => me.watch.generation === before + 2);
    const again = await me.msUntil('the café', () => me.at() === 'unreachable');
    assert.ok(again < 1_000, `${again} ms`);
  });

  test('other name servers are another network', async () => {
    await using me = laptop('direct');
    writeFileSync('/etc/resolv.conf', 'nameserver 127.0.0.2\n');
    await me.msUntil('the change', () => me.watch.generation === 1);
    assert.deepEqual(me.seen, ['resolver']);
  });
}

if (isInside()) tests();
else {
  const skip = noNamespace();
  test('networks that change', { skip, timeout: 60_000 }, () => runInside(import.meta.url, RESOLVE_ON_LOOPBACK));
}
