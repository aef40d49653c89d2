/** `routes.unreachable: direct`: past upstream proxies and PACs that cannot be reached, and past nothing else. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { jsonRecord } from '../../src/observe/format-json.ts';
import type { RoutesInput } from '../../src/routing/options.ts';
import { AuthenticatingProxy } from '../support/authenticating-proxy.ts';
import { viaductEnds } from '../support/cli.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { connectTo } from '../support/requests.ts';
import { temporaryFolder } from '../support/temporary.ts';

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());

/** Nothing listens there. */
const DEAD = 'http://127.0.0.1:9';

const page = (): Promise<RawOrigin> =>
  RawOrigin.listen(
    answering(({ startLine }) => (startLine.startsWith('CONNECT ') ? 'HTTP/1.1 200 OK\r\n\r\nparent' : ok('direct'))),
  );

const requestsFor = (authority: string): readonly string[] => [
  `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`,
  `POST http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody`,
  connectTo(authority),
];

async function answerTo(proxy: ProxyUnderTest, request: string): Promise<string> {
  using client = await proxy.client();
  client.send(request);
  await client.until(/\r\n\r\n/);
  if (request.startsWith('CONNECT ') && client.text.startsWith('HTTP/1.1 200 ')) return client.text;
  await client.ended();
  return client.text;
}

/** On a busy machine a script may not decide in time. */
async function decidedAnswer(proxy: ProxyUnderTest, request: string): Promise<string> {
  for (;;) {
    const answer = await answerTo(proxy, request);
    if (!answer.includes('The PAC file that decides has failed')) return answer;
  }
}

const notices = ({ events }: ProxyUnderTest): string[] =>
  events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));

function script(body: string): string {
  const path = join(folder.path, 'fallback.pac');
  writeFileSync(path, `function FindProxyForURL(url, host) { ${body} }`);
  return path;
}

const UNREACHABLE: readonly (readonly [what: string, routes: RoutesInput])[] = [
  ['a proxy that refuses', { proxy: DEAD }],
  ['proxies of which one refuses and one has no address', { proxy: [DEAD, 'socks5://no-such-name.invalid:1080'] }],
  ['an https: proxy that refuses', { proxy: 'https://127.0.0.1:9' }],
  ['a rule whose proxy refuses', { rules: [{ hosts: ['127.0.0.1'], via: `PROXY 127.0.0.1:9` }] }],
  ['a PAC whose server refuses', { pac: `${DEAD}/proxy.pac` }],
  ['a PAC whose server has no address', { pac: 'http://no-such-name.invalid/proxy.pac' }],
  ['a PAC and proxies, none of which can be reached', { pac: `${DEAD}/proxy.pac`, proxy: DEAD }],
];
for (const [what, routes] of UNREACHABLE) {
  test(
    `past ${what} requests go direct when the user allowed it; otherwise the refusal names the flag`,
    leavesNothing(async () => {
      await using origin = await page();
      {
        await using proxy = await ProxyUnderTest.start({ routes: { ...routes, unreachable: 'direct' } });
        for (const request of requestsFor(origin.authority)) {
          assert.match(await answerTo(proxy, request), /^HTTP\/1\.1 200 /, request);
        }
        await proxy.when(({ records }) => records.length === 3);
        for (const record of proxy.records) assert.match(jsonRecord(record), /"route":"direct_fallback"/);
      }
      const before = origin.connections.length;
      await using proxy = await ProxyUnderTest.start({ routes });
      for (const request of requestsFor(origin.authority)) {
        const answer = await answerTo(proxy, request);
        assert.match(answer, /^HTTP\/1\.1 50[24] /, request);
        assert.match(answer, /--direct-fallback \(routes\.unreachable: direct\)/);
      }
      assert.equal(origin.connections.length, before);
      assert.ok(notices(proxy).some((message) => message.includes('--direct-fallback')));
    }),
  );
}

test(
  'the answer of a PAC without DIRECT has a direct route behind it only when the user allowed it',
  leavesNothing(async () => {
    await using origin = await page();
    const pac = script('return "PROXY 127.0.0.1:9";');
    const [get = ''] = requestsFor(origin.authority);
    for (const [unreachable, answer] of [
      ['direct', /^HTTP\/1\.1 200 /],
      ['refuse', /^HTTP\/1\.1 502 /],
    ] as const) {
      await using proxy = await ProxyUnderTest.start({ routes: { pac, unreachable } });
      assert.match(await decidedAnswer(proxy, get), answer);
    }
  }),
);

test(
  'port 0 blocks all the same, alone and behind a proxy that refuses',
  leavesNothing(async () => {
    await using origin = await page();
    const [get = ''] = requestsFor(origin.authority);
    for (const answer of ['PROXY 0.0.0.0:0', 'PROXY 127.0.0.1:9; PROXY 0.0.0.0:0']) {
      const pac = script(`return "${answer}";`);
      await using proxy = await ProxyUnderTest.start({ routes: { pac, unreachable: 'direct' } });
      assert.match(await decidedAnswer(proxy, get), /^HTTP\/1\.1 502 /);
    }
    assert.equal(origin.connections.length, 0);
  }),
);

const ASKS =
  'HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm="x"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';
const REACHED: readonly (readonly [what: string, answer: string])[] = [
  ['asks for a login', ASKS],
  ['refuses with 403', 'HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'],
  ['fails with 502', 'HTTP/1.1 502 Oh\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'],
  ['fails with 503', 'HTTP/1.1 503 Oh\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'],
  ['answers with no HTTP', 'what?\r\n\r\n'],
];
for (const [what, answer] of REACHED) {
  test(
    `a proxy that ${what} was reached, and nothing goes direct`,
    leavesNothing(async () => {
      await using origin = await page();
      await using upstreamProxy = await AuthenticatingProxy.listen(() => answer);
      await using proxy = await ProxyUnderTest.start({ routes: { proxy: upstreamProxy.url, unreachable: 'direct' } });
      for (const request of requestsFor(origin.authority)) {
        assert.doesNotMatch(await answerTo(proxy, request), /^HTTP\/1\.1 200 /, request);
      }
      assert.equal(origin.connections.length, 0);
      assert.ok(upstreamProxy.requests.length > 0);
    }),
  );
}

test(
  'a proxy that asks for a login and then closes its port was reached',
  leavesNothing(async () => {
    await using origin = await page();
    for (const request of requestsFor(origin.authority)) {
      const upstreamProxy = createServer((socket) => {
        socket
          .on('error', () => undefined)
          .once('data', () => {
            upstreamProxy.close();
            socket.end(ASKS);
          });
      }).listen(0, '127.0.0.1');
      await once(upstreamProxy, 'listening');
      const { port } = upstreamProxy.address() as AddressInfo;
      const upstream = `http://me:secret@127.0.0.1:${port}`;
      await using proxy = await ProxyUnderTest.start({ routes: { proxy: upstream, unreachable: 'direct' } });
      assert.match(await answerTo(proxy, request), /^HTTP\/1\.1 50[024] /, request);
      assert.equal(upstreamProxy.listening, false, 'the proxy was asked');
    }
    assert.equal(origin.connections.length, 0);
  }),
);

test(
  'a proxy whose TLS fails was reached',
  leavesNothing(async () => {
    await using origin = await page();
    await using plain = await RawOrigin.listen((peer) => peer.send('HTTP/1.1 400 No TLS here\r\n\r\n'));
    const upstream = `https://${plain.authority}`;
    await using proxy = await ProxyUnderTest.start({ routes: { proxy: upstream, unreachable: 'direct' } });
    for (const request of requestsFor(origin.authority)) {
      assert.match(await answerTo(proxy, request), /^HTTP\/1\.1 502 /, request);
    }
    assert.equal(origin.connections.length, 0);
  }),
);

test(
  'a proxy that accepts connections and sends nothing was reached, and no direct route begins beside it',
  leavesNothing(async () => {
    await using origin = await page();
    await using silent = await RawOrigin.listen();
    const routes = { proxy: `http://${silent.authority}`, unreachable: 'direct' } as const;
    await using proxy = await ProxyUnderTest.start({ routes, timeouts: { head: '2s' } });
    for (const request of requestsFor(origin.authority)) {
      assert.match(await answerTo(proxy, request), /^HTTP\/1\.1 504 /, request);
    }
    assert.equal(origin.connections.length, 0);
  }),
);

test(
  'a PAC that was read and fails, or whose server has none, leaves no route',
  leavesNothing(async () => {
    await using origin = await page();
    await using server = await RawOrigin.listen(
      answering(() => 'HTTP/1.1 503 Away\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'),
    );
    const [get = ''] = requestsFor(origin.authority);
    for (const pac of [script('throw new Error("its own");'), `http://${server.authority}/proxy.pac`]) {
      await using proxy = await ProxyUnderTest.start({ routes: { pac, unreachable: 'direct' } });
      assert.match(await answerTo(proxy, get), /^HTTP\/1\.1 502 /, pac);
    }
    assert.equal(origin.connections.length, 0);
  }),
);

test(
  'while the proxy is away requests go direct at once, and when it is back it is used again',
  leavesNothing(async () => {
    await using origin = await page();
    const away = await RawOrigin.listen();
    const { port } = away;
    await away[Symbol.asyncDispose]();
    const upstream = `http://127.0.0.1:${port}`;
    await using proxy = await ProxyUnderTest.start({ routes: { proxy: upstream, unreachable: 'direct' } });
    const [get = '', , connect = ''] = requestsFor(origin.authority);
    for (const request of [get, connect, get]) assert.match(await answerTo(proxy, request), /^HTTP\/1\.1 200 /);
    const dials = proxy.events.filter((event) => event.type === 'dialing' && event.to.port === port);
    assert.equal(dials.length, 1, 'a proxy that is down is tried by each request');
    assert.equal(notices(proxy).filter((message) => message.includes('(direct_fallback)')).length, 1);
    await using _back = await RawOrigin.listen(
      answering(({ startLine }) => (startLine.startsWith('CONNECT ') ? 'HTTP/1.1 200 OK\r\n\r\n' : ok('parent'))),
      { port },
    );
    await proxy.when(({ events }) => events.some((event) => event.type === 'health' && event.untilMs === undefined));
    assert.match(await answerTo(proxy, get), /\r\n\r\nparent$/);
  }),
);

test('the flag is the setting, and why names the route that is left', async () => {
  const words = ['--proxy', DEAD, '--direct-fallback', 'http://127.0.0.1:9/'];
  const { out } = await viaductEnds(['why', ...words]);
  assert.match(out, /^ {2}route {4}http:\/\/127\.0\.0\.1:9$/m);
  assert.match(out, /^ {2}route {4}direct_fallback$/m);
  const checked = await viaductEnds(['check', '--direct-fallback']);
  assert.match(checked.out, /^routes\.unreachable\s+"?direct"?\s.*--direct-fallback/m);
});
