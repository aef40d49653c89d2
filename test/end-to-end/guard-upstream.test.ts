/** Literal addresses on routes through upstream proxies: no name has to be resolved, so the guard judges them here. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ProxyOptions, startProxy } from '../../src/index.ts';
import { viaductEnds } from '../support/cli.ts';
import { isInside, noNamespace, runInside } from '../support/namespace.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { portOf } from '../support/traffic.ts';

async function statusOf(proxy: { readonly url: string }, request: string): Promise<number> {
  using client = await rawClient(portOf(proxy.url));
  client.send(request);
  await client.until(/\r\n\r\n/);
  return Number(client.text.split(' ')[1]);
}
const get = (authority: string): string => `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;

/** An upstream proxy that serves every request and opens every tunnel itself. */
const upstreamHttp = (): Promise<RawOrigin> =>
  RawOrigin.listen(
    answering(({ startLine }) => (startLine.startsWith('CONNECT ') ? 'HTTP/1.1 200 OK\r\n\r\n' : ok('sent on'))),
  );
/** SOCKS of either version that grants everything, without a login. */
const upstreamSocks = (): Promise<RawOrigin> =>
  RawOrigin.listen((peer) => {
    let asked = 0;
    peer.socket.on('data', () => {
      asked += 1;
      const isFive = peer.received[0] === 5;
      if (!isFive) peer.send(Buffer.from([0, 90, 0, 0, 0, 0, 0, 0]));
      else if (asked === 1) peer.send(Buffer.from([5, 0]));
      else if (asked === 2) peer.send(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
      if (asked === (isFive ? 3 : 2)) peer.send(ok('sent on'));
    });
  });

const exposed: ProxyOptions = { listen: '0.0.0.0:0', open: true, timeouts: { connect: '1s' } };

/**
 * What every resolver and upstream proxy reads as an address inside, in the spellings that the parser of targets takes.
 */
const INSIDE = [
  ...['127.0.0.1', '127.9.9.9', '0.0.0.0', '10.1.2.3', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1'],
  ...['[::1]', '[::]', '[fe80::1]', '[fd00:ec2::254]', '[::ffff:127.0.0.1]', '[::FFFF:A9FE:A9FE]'],
  ...['[64:ff9b::a9fe:a9fe]', '[2002:7f00:1::]', '[2001:0:7f00:1::80ff:fffe]', '[0:0:0:0:0:0:0:1]'],
  // Loopback for every resolver that follows RFC 6761 §6.3, so the upstream proxy's own machine.
  ...['localhost', 'LOCALHOST', 'localhost.', 'db.localhost', 'a.b.Localhost.'],
  // Windows reads these as addresses and asks no server.
  ...['0--1.ipv6-literal.net', 'fe80--1s4.ipv6-literal.net', '--ffff-7f00-1.IPv6-Literal.net.'],
];
/** What some parsers read as an address and others as a name: refused as an invalid target. */
const DOUBTFUL = [
  ...['127.1', '127.0.1', '2130706433', '0x7f000001', '0177.0.0.1', '0x7f.1', '127.0.0.1.', '169.254.43518'],
  ...[
    '0xA9FEA9FE',
    '[::1%25lo]',
    '[fe80::1%eth0]',
    '127.0.0.1%00',
    '127%2e0%2e0%2e1',
    '%31%32%37.0.0.1',
    '[127.0.0.1]',
  ],
  ...['127。0。0。1', '①②⑦.0.0.1', '127.0.0.1..', '.127.0.0.1', '[::1].', '::1'],
];

function tests(): void {
  test('an upstream proxy is asked for no address inside, however it is written', async () => {
    await using http = await upstreamHttp();
    await using socks = await upstreamSocks();
    const url = `http://${http.authority}`;
    const dead = 'http://127.0.0.1:9';
    const ways: readonly (readonly [string, ProxyOptions])[] = [
      ['http', { routes: { proxy: url } }],
      ['fail-over', { routes: { proxy: [dead, url] } }],
      ['a rule', { routes: { rules: [{ name: 'all', hosts: ['*'], via: `PROXY ${http.authority}; DIRECT` }] } }],
      ['a chain', { routes: { proxy: [[url, `socks5://${socks.authority}`]] } }],
      ['a hook', { route: () => [url, 'direct'] }],
      ['a PAC', { routes: { pac: `data:,function FindProxyForURL(){return "PROXY ${http.authority}; DIRECT"}` } }],
      ...['socks4', 'socks4a', 'socks5'].map(
        (scheme) => [scheme, { routes: { proxy: `${scheme}://${socks.authority}` } }] as const,
      ),
    ];
    for (const [name, settings] of ways) {
      // A PAC's own proxies are judged as well, so that one at loopback needs an exception.
      const guard = name === 'a PAC' ? { guard: { allow: [http.authority] } } : {};
      await using proxy = await startProxy({ ...exposed, ...settings, ...guard });
      for (const host of INSIDE) {
        for (const request of [connectTo(`${host}:443`), get(`${host}:8080`), get(host)])
          assert.equal(await statusOf(proxy, request), 403, `${name}: ${request.slice(0, 50)}`);
      }
      for (const host of DOUBTFUL) {
        const text = Buffer.from(`${host}:443`).toString('latin1');
        for (const request of [connectTo(text), get(text)])
          assert.equal(await statusOf(proxy, request), 400, `${name}: ${request.slice(0, 50)}`);
      }
    }
    assert.equal(http.text + socks.text, '', 'no upstream proxy was asked');
    // Names and public addresses are for the upstream proxy to reach.
    await using proxy = await startProxy({ ...exposed, routes: { proxy: url } });
    for (const host of [
      '8.8.8.8',
      '[2600::1]',
      'inner.example',
      'localhost.example',
      'notlocalhost',
      'ipv6-literal.net',
    ])
      assert.equal(await statusOf(proxy, get(host)), 200, host);
  });

  test('an exception of the guard holds for a literal on every route', async () => {
    await using http = await upstreamHttp();
    await using proxy = await startProxy({
      ...exposed,
      routes: { proxy: `http://${http.authority}` },
      guard: { allow: ['10.20.0.0/16', '10.1.1.1:8080', '127.0.0.1', '[::1]:80'] },
    });
    for (const [authority, status] of [
      ['10.20.3.4', 200],
      ['[::ffff:10.20.3.4]', 200],
      ['10.1.1.1:8080', 200],
      ['10.1.1.1', 403],
      ['127.0.0.1', 200],
      // Which of its two addresses an upstream proxy goes to is not known here: both have to be allowed.
      ['localhost', 200],
      ['localhost:81', 403],
    ] as const)
      assert.equal(await statusOf(proxy, get(authority)), status, authority);
  });

  test('on a loopback listener only what guard.deny names is denied, and our own listener', async () => {
    await using http = await upstreamHttp();
    const routes = { proxy: `http://${http.authority}` };
    await using open = await startProxy({ routes });
    for (const host of ['169.254.169.254', '10.1.2.3', 'localhost', '[::1]'])
      assert.equal(await statusOf(open, get(host)), 200, host);
    assert.equal(await statusOf(open, get(`127.0.0.1:${portOf(open.url)}`)), 508);
    await using strict = await startProxy({ routes, guard: { deny: ['metadata', '10.0.0.0/8'] } });
    assert.equal(await statusOf(strict, get('169.254.169.254')), 403);
    assert.equal(await statusOf(strict, get('[::ffff:10.1.2.3]')), 403);
    assert.equal(await statusOf(strict, get('192.168.1.1')), 200);
  });

  test('why prints the same', async () => {
    const why = async (...words: string[]) => {
      const { out } = await viaductEnds(['why', '--listen', '0.0.0.0:3128', '--open', ...words]);
      return out.trimEnd().split('\n').slice(-3);
    };
    const proxied = ['--proxy', 'http://127.0.0.1:9'];
    for (const [url, address, rule] of [
      ['http://169.254.169.254/', '169.254.169.254', 'metadata'],
      ['https://[::ffff:10.0.0.1]/', '::ffff:10.0.0.1', 'private'],
      ['http://localhost/', '127.0.0.1', 'loopback'],
    ] as const) {
      const lines = await why(...proxied, url);
      assert.ok(lines.includes(`  target   ${address}: denied, 403 (guard: ${rule})`), lines.join('\n'));
      assert.equal(lines.at(-1), '=> refused with 403');
    }
    assert.match((await why(...proxied, 'http://8.8.8.8/')).at(-1) ?? '', /^=> would be sent to /);
    assert.match((await why('http://169.254.169.254/')).at(-1) ?? '', /^=> refused with 403$/);
  });
}

if (isInside()) tests();
else {
  test(
    'literal addresses behind upstream proxies, where nothing can be reached',
    { skip: noNamespace(), timeout: 120_000 },
    () => runInside(import.meta.url),
  );
}
