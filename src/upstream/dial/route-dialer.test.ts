import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALLOW_ALL, dialScope } from '../../../test/support/dial-scope.ts';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import { RawOrigin } from '../../../test/support/origin.ts';
import type { RawPeer } from '../../../test/support/raw-client.ts';
import type { Dialer } from '../../contracts/dialing.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { AddressGuard } from '../../contracts/policy.ts';
import type { Hop, NamedBy, Route } from '../../contracts/stages.ts';
import { parseProxyUrl } from '../../protocol/routes/proxy-url.ts';
import { systemClock } from '../../util/clock.ts';
import { DirectDialer } from './direct.ts';
import { cachingResolver } from './resolver.ts';
import { RouteDialer } from './route-dialer.ts';
import { Socks4Dialer } from './socks4.ts';
import { Socks5Dialer } from './socks5.ts';

const asked: string[] = [];
const resolver = cachingResolver(systemClock, async (host) => {
  asked.push(host);
  return ['127.0.0.1'];
});
const direct = new DirectDialer({ resolver, clock: systemClock, connectMs: 2_000 });
const addressesOf: DirectDialer['addressesOf'] = (to, within) => direct.addressesOf(to, within);
const dialers: readonly Dialer[] = [
  new Socks5Dialer({ headMs: 2_000 }),
  new Socks4Dialer({ headMs: 2_000, addressesOf }),
];
const paths = new RouteDialer(direct, dialers);

function chain(namedBy: NamedBy, ...urls: readonly string[]): Route {
  const [first, ...more] = urls.map((url) => parseProxyUrl(url, namedBy));
  assert.ok(first !== undefined);
  return { via: 'proxies', hops: [first, ...more] };
}

/** A guard with fixed decisions, which records what it was asked. */
function noting(verdict: 'allow' | 'deny'): AddressGuard & { readonly asked: string[] } {
  const notes: string[] = [];
  const judge = (how: string) => (address: string, port: number) => {
    notes.push(`${how} ${address}:${port}`);
    return verdict === 'allow'
      ? ({ verdict, rule: 'test' } as const)
      : ({ verdict, rule: 'test', code: how === 'configured' ? 'loop_detected' : 'address_prohibited' } as const);
  };
  return { check: judge('target'), checkConfigured: judge('configured'), asked: notes };
}

const YES4 = '\0\x5a\0\0\0\0\0\0';
/** A SOCKS4 proxy that says yes to everything and passes nothing on: what comes next is for the next proxy. */
const agreeing = (answers: readonly string[]) => (peer: RawPeer) => {
  let at = 0;
  peer.socket.on('data', () => peer.send(answers[at++] ?? ''));
};

test(
  'the guard judges each address that is dialled or sent, by who named it',
  leavesNothing(async () => {
    await using first = await RawOrigin.listen(agreeing([YES4, YES4]));
    for (const [namedBy, judged] of [
      ['user', 'configured'],
      ['pac', 'target'],
    ] as const) {
      const guard = noting('allow');
      const route = chain(namedBy, `socks4://first.test:${first.port}`, 'socks4://second.test:1080');
      using _tunnel = await paths.tunnel(route, { host: 'target.test', port: 443 }, dialScope({ guard }));
      assert.deepEqual(
        [...guard.asked].sort(),
        [`${judged} 127.0.0.1:1080`, `${judged} 127.0.0.1:${first.port}`, 'target 127.0.0.1:443'].sort(),
      );
    }
  }),
);

test('a proxy at a forbidden address is not dialled, one that is ourselves is a loop', async () => {
  await using never = await RawOrigin.listen();
  for (const [namedBy, code] of [
    ['user', 'loop_detected'],
    ['pac', 'address_prohibited'],
    ['untrusted-pac', 'address_prohibited'],
  ] as const) {
    const route = chain(namedBy, `socks5://127.0.0.1:${never.port}`);
    const within = dialScope({ guard: noting('deny') });
    await assert.rejects(paths.tunnel(route, { host: 'a.test', port: 1 }, within), { code });
  }
  assert.equal(never.connections.length, 0);
});

test('names behind a SOCKS5 proxy are not asked for here', async () => {
  await using proxy = await RawOrigin.listen(agreeing(['\x05\0', '\x05\0\0\x01\0\0\0\0\0\0']));
  asked.length = 0;
  using _tunnel = await paths.tunnel(
    chain('user', `socks5://127.0.0.1:${proxy.port}`),
    { host: 'far.test', port: 443 },
    dialScope(),
  );
  assert.deepEqual(asked, []);
});

test(
  'a next proxy in the chain that cannot be reached closes this way and no other, and tells which proxy it is about',
  leavesNothing(async () => {
    await using first = await RawOrigin.listen((peer) => void peer.send('\x05\0\x05\x05'));
    const route = chain('user', `socks5://127.0.0.1:${first.port}`, 'socks5://second.test:1080');
    await assert.rejects(paths.tunnel(route, { host: 'a.test', port: 1 }, dialScope()), (error) => {
      assert.ok(error instanceof ProxyError);
      const clientDetail = `socks5://second.test:1080 could not be reached through socks5://127.0.0.1:${first.port}.`;
      assert.deepEqual([error.code, error.clientDetail], ['connect_failed', clientDetail]);
      return true;
    });
  }),
);

test(
  'a next proxy that the one before forbids is a refusal, which no other route goes past',
  leavesNothing(async () => {
    await using first = await RawOrigin.listen((peer) => void peer.send('\x05\0\x05\x02'));
    const route = chain('user', `socks5://127.0.0.1:${first.port}`, 'socks5://second.test:1080');
    const going = paths.tunnel(route, { host: 'a.test', port: 1 }, dialScope());
    await assert.rejects(going, (error) => error instanceof ProxyError && error.code === 'upstream_refused');
  }),
);

test('without TLS no https proxy is reached, and what was opened for it is closed', async () => {
  await using proxy = await RawOrigin.listen();
  const route = chain('user', `https://127.0.0.1:${proxy.port}`);
  const within = dialScope({ guard: ALLOW_ALL });
  await assert.rejects(paths.connectForRequest(route, { host: 'a.test', port: 80 }, within), { code: 'no_route' });
  assert.equal(await (await proxy.connection()).ended(), 'fin');
});

test('a plain request is read by the last proxy if that speaks HTTP, else by the origin', async () => {
  await using proxy = await RawOrigin.listen(agreeing([YES4]));
  const target = { host: '127.0.0.1', port: 80 };
  const readers: string[] = [];
  for (const urls of [[`http://127.0.0.1:${proxy.port}`], [`socks4://127.0.0.1:${proxy.port}`]]) {
    const { connection, reader } = await paths.connectForRequest(chain('user', ...urls), target, dialScope());
    connection[Symbol.dispose]();
    readers.push(reader);
  }
  await using origin = await RawOrigin.listen();
  const { connection, reader } = await paths.connectForRequest({ via: 'direct' }, origin, dialScope());
  connection[Symbol.dispose]();
  assert.deepEqual([...readers, reader], ['proxy', 'origin', 'origin']);
});

test('a kind of proxy without a dialer is no route', async () => {
  const hop: Hop = parseProxyUrl('http://127.0.0.1:1', 'user');
  const tunnel = paths.tunnel({ via: 'proxies', hops: [hop] }, { host: 'a.test', port: 1 }, dialScope());
  await assert.rejects(tunnel, { code: 'no_route' });
});
