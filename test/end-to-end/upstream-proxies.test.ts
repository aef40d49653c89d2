/**
 * Plain HTTP through upstream proxies, byte for byte: forms of the target, pooled connections, faults of an upstream
 * proxy.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveOptions } from '../../src/config/schema.ts';
import type { Route } from '../../src/contracts/stages.ts';
import { parseProxyUrl } from '../../src/protocol/routes/proxy-url.ts';
import { messagesIn } from '../support/http-messages.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';

/** A proxy whose every request has these routes: `direct`, or the URL of a proxy. */
function proxyBy(ways: readonly string[], config: Parameters<typeof ProxyUnderTest.start>[0] = {}) {
  const routes = ways.map(
    (way): Route => (way === 'direct' ? { via: 'direct' } : { via: 'proxies', hops: [parseProxyUrl(way, 'user')] }),
  );
  return ProxyUnderTest.start(config, { overrides: { router: { route: () => ({ routes, by: { kind: 'proxy' } }) } } });
}

const get = (url: string, ...fields: string[]): string =>
  `GET ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;
const post = (url: string, body: string): string =>
  `POST ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

const answers = (client: RawPeer) =>
  messagesIn(client.received, { kind: 'response', ended: client.ending !== 'open' }).filter(({ complete }) => complete);
const answered = (client: RawPeer, count: number): Promise<void> =>
  client.when((peer) => answers(peer).length >= count, `${count} answers`);

/** One request; its answers so far when it has one. */
async function ask(proxy: ProxyUnderTest, request: string): Promise<string> {
  using client = await proxy.client();
  client.send(request);
  await answered(client, 1);
  return client.text;
}

/** A port on which no program listens. */
async function deadPort(): Promise<number> {
  await using origin = await RawOrigin.listen();
  return origin.port;
}

test(
  'an upstream proxy gets the absolute form, the client’s Host, our Via, and when it asks, the login of its own URL',
  leavesNothing(async () => {
    const asks = 'HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm="corp"\r\nContent-Length: 0\r\n\r\n';
    await using upstream = await RawOrigin.listen(
      answering(({ fields }) =>
        fields.has('proxy-authorization') ? ok('ok', 'Proxy-Authentication-Info: secret') : asks,
      ),
    );
    await using proxy = await proxyBy([`http://me:p%40ss@${upstream.authority}`], {
      upstreams: [{ host: '127.0.0.1', auth: { preemptive: false } }],
    });
    const text = await ask(
      proxy,
      get('http://site.test:8080/a?b', 'Proxy-Authorization: Basic c2VjcmV0', 'Connection: keep-alive'),
    );
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
    assert.doesNotMatch(text, /secret/);
    assert.match(
      upstream.text,
      /^(GET http:\/\/site\.test:8080\/a\?b HTTP\/1\.1\r\nHost: site\.test:8080\r\nVia: 1\.1 viaduct-[0-9a-f]{12}\r\n)\r\n(?:TRACE [\s\S]*\r\n\r\n)\1Proxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n$/,
    );
  }),
);

for (const [request, line] of [
  ['GET http://site.test/ HTTP/1.1', 'GET http://site.test/ HTTP/1.1'],
  ['GET http://site.test:80 HTTP/1.1', 'GET http://site.test/ HTTP/1.1'],
  ['GET http://site.test?q HTTP/1.1', 'GET http://site.test/?q HTTP/1.1'],
  ['GET http://[::1]:81/x HTTP/1.1', 'GET http://[::1]:81/x HTTP/1.1'],
  ['GET http://[::1]/x HTTP/1.1', 'GET http://[::1]/x HTTP/1.1'],
  ['OPTIONS http://site.test:8080 HTTP/1.1', 'OPTIONS http://site.test:8080 HTTP/1.1'],
  ['OPTIONS http://site.test/ HTTP/1.1', 'OPTIONS http://site.test/ HTTP/1.1'],
] as const) {
  test(
    `${request} becomes ${line}`,
    leavesNothing(async () => {
      await using upstream = await RawOrigin.listen(answering(() => ok('')));
      await using proxy = await proxyBy([`http://${upstream.authority}`]);
      const authority = /http:\/\/([^/?]+)/.exec(request)?.[1]?.split(' ')[0] ?? '';
      await ask(proxy, `${request}\r\nHost: ${authority}\r\n\r\n`);
      assert.equal(upstream.text.split('\r\n')[0], line);
    }),
  );
}

test(
  'an idle connection to an upstream proxy serves requests to any target; one to an origin only its own',
  leavesNothing(async () => {
    await using upstream = await RawOrigin.listen(answering(() => ok('ok')));
    await using proxy = await proxyBy([`http://${upstream.authority}`]);
    for (const host of ['a.test', 'b.test:81', 'c.test']) await ask(proxy, get(`http://${host}/`));
    assert.equal(upstream.connections.length, 1);
    assert.equal(upstream.text.split('GET http://').length, 4);
  }),
);

test(
  'a connection on which a client authenticates by NTLM or Negotiate is used once',
  leavesNothing(async () => {
    await using upstream = await RawOrigin.listen(answering(() => ok('ok', 'WWW-Authenticate: NTLM')));
    await using proxy = await proxyBy([`http://${upstream.authority}`]);
    await ask(proxy, get('http://a.test/'));
    await ask(proxy, get('http://a.test/', 'Authorization: Negotiate YII='));
    await ask(proxy, get('http://a.test/'));
    assert.equal(upstream.connections.length, 3);
  }),
);

test(
  'a request that meets a connection which the upstream proxy has just closed is sent again to it, and not to the next',
  leavesNothing(async () => {
    let requests = 0;
    await using upstream = await RawOrigin.listen((peer) =>
      peer.socket.on('data', (chunk: Buffer) => {
        // A probe, by which the proxy learns whether this upstream proxy answers any.
        if (!chunk.toString('latin1').startsWith('GET ')) return void peer.send(ok('')).end();
        requests += 1;
        if (requests === 2) peer.end();
        else peer.send(ok('first'));
      }),
    );
    await using other = await RawOrigin.listen(answering(() => ok('other')));
    await using proxy = await proxyBy([`http://${upstream.authority}`, `http://${other.authority}`]);
    await ask(proxy, get('http://a.test/1'));
    assert.match(await ask(proxy, get('http://a.test/2')), /first$/);
    const used = upstream.connections.filter(({ text }) => text.startsWith('GET '));
    assert.deepEqual([requests, used.length, other.connections.length], [3, 2, 0]);
  }),
);

test(
  'the head of an upstream proxy’s answer may be cut anywhere, and what follows it belongs to the answer',
  leavesNothing(async () => {
    const wire = Buffer.from('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello');
    let cut = 0;
    await using upstream = await RawOrigin.listen((peer) => peer.socket.on('data', () => void peer.sendCut(wire, cut)));
    await using proxy = await proxyBy([`http://${upstream.authority}`]);
    using client = await proxy.client();
    for (; cut <= wire.length; cut++) {
      client.forget(client.bytesReceived);
      client.send(get('http://a.test/'));
      await answered(client, 1);
      assert.match(
        client.text,
        /^HTTP\/1\.1 100 [\s\S]*\r\n\r\nHTTP\/1\.1 200 OK\r\nX: y\r\n[\s\S]*\r\n\r\nhello$/,
        `cut at ${cut}`,
      );
    }
    assert.equal(upstream.connections.length, 1);
  }),
);

test(
  'an upstream proxy’s 407 is for this proxy: the client gets 502 and no challenge, and the page names the proxy',
  leavesNothing(async () => {
    const challenge = 'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="corp"\r\nContent-Length: 4\r\n\r\nwho?';
    await using upstream = await RawOrigin.listen(answering(() => challenge));
    await using other = await RawOrigin.listen(answering(() => ok('other')));
    await using proxy = await proxyBy([`http://${upstream.authority}`, `http://${other.authority}`]);
    for (const request of [get('http://a.test/'), post('http://a.test/', 'pay')]) {
      const text = await ask(proxy, request);
      assert.match(text, /^HTTP\/1\.1 502 /);
      assert.match(text, /^Proxy-Status: viaduct; error=proxy_configuration_error\r$/m);
      assert.doesNotMatch(text, /Proxy-Authenticate|realm|who\?/i);
      assert.ok(text.includes(`http://${upstream.authority}`), text);
    }
    assert.equal(other.connections.length, 0);
  }),
);

for (const status of ['403 Forbidden', '502 Bad Gateway', '503 Unavailable', '504 Timeout']) {
  test(
    `an upstream proxy’s own ${status} is the response, and no other upstream proxy is asked`,
    leavesNothing(async () => {
      await using upstream = await RawOrigin.listen(
        answering(() => `HTTP/1.1 ${status}\r\nContent-Length: 2\r\n\r\nno`),
      );
      await using other = await RawOrigin.listen(answering(() => ok('other')));
      await using proxy = await proxyBy([`http://${upstream.authority}`, `http://${other.authority}`]);
      assert.match(await ask(proxy, get('http://a.test/')), new RegExp(`^HTTP/1\\.1 ${status}\r\n`));
      assert.equal(other.connections.length, 0);
    }),
  );
}

/** Upstream proxies that fail a request that has arrived, each at another point. */
const FAILING: readonly (readonly [what: string, fail: (peer: RawPeer) => void])[] = [
  ['says nothing and ends', (peer) => void peer.end()],
  ['says nothing and resets', (peer) => peer.reset()],
  ['speaks no HTTP', (peer) => void peer.send('220 smtp.example ESMTP\r\n\r\n').end()],
  ['never ends its first line', (peer) => void peer.send('A'.repeat(200_000))],
  ['ends inside its head', (peer) => void peer.send('HTTP/1.1 200 OK\r\nX: y').end()],
];
for (const [what, fail] of FAILING) {
  test(
    `an upstream proxy that ${what}: a GET goes to the next, a POST is 502 and is sent once`,
    leavesNothing(async () => {
      await using upstream = await RawOrigin.listen((peer) => void peer.socket.once('data', () => fail(peer)));
      await using other = await RawOrigin.listen(answering(() => ok('other')));
      const ways = [`http://${upstream.authority}`, `http://${other.authority}`];
      await using first = await proxyBy(ways);
      assert.match(await ask(first, get('http://a.test/')), /^HTTP\/1\.1 200 OK\r\n[\s\S]*other$/);
      await using second = await proxyBy(ways);
      other.connections.length = 0;
      const text = await ask(second, post('http://a.test/', 'pay'));
      assert.match(text, /^HTTP\/1\.1 502 /);
      assert.ok(text.includes(`The route led through http://${upstream.authority}.`), text);
      assert.deepEqual([other.connections.length, upstream.text.split('POST ').length], [0, 2]);
    }),
  );
}

test(
  'a POST that no upstream proxy has been sent yet goes to the next one',
  leavesNothing(async () => {
    await using other = await RawOrigin.listen(answering(({ body }) => ok(`got ${body}`)));
    await using proxy = await proxyBy([`http://127.0.0.1:${await deadPort()}`, `http://${other.authority}`]);
    assert.match(await ask(proxy, post('http://a.test/', 'pay')), /got pay$/);
    const { route, failure } = await proxy.record();
    assert.deepEqual([route?.via === 'proxies' && route.hops[0].proxy.port, failure], [other.port, undefined]);
  }),
);

test(
  'a frozen upstream proxy: a GET is answered by the next after a second, and the one after it does not even ask the first',
  leavesNothing(async () => {
    await using frozen = await RawOrigin.listen();
    await using other = await RawOrigin.listen(answering(() => ok('other')));
    await using proxy = await proxyBy([`http://${frozen.authority}`, `http://${other.authority}`]);
    const startedMs = performance.now();
    assert.match(await ask(proxy, get('http://a.test/')), /other$/);
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs >= 950 && tookMs < 3_000, `${tookMs} ms`);
    // Besides the request it was sent a probe.
    assert.match(frozen.text, /OPTIONS \* HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\nMax-Forwards: 0\r\n/);
    const againMs = performance.now();
    assert.match(await ask(proxy, get('http://a.test/')), /other$/);
    assert.ok(performance.now() - againMs < 900);
    const events = proxy.events.flatMap((event) => (event.type === 'route-failed' ? [event.reason] : []));
    assert.deepEqual(events, ['upstream_timeout']);
  }),
);

/**
 * After so long the stuck upstream proxy sends a part of its answer, within the time in which it is asked whether it
 * lives.
 */
const PART_MS = 300;
/** What a slow target takes: longer than an upstream proxy may be silent without answering probes. */
const TARGET_MS = 1_700;

for (const [what, part] of [
  ['half a head', 'HTTP/1.1 200 Con'],
  ['no more than interim answers', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n'],
] as const) {
  test(
    `an upstream proxy that says ${what} and then nothing is as dead as one that is silent`,
    leavesNothing(async () => {
      await using stuck = await RawOrigin.listen(
        (peer) => void peer.socket.once('data', () => setTimeout(() => peer.send(part), PART_MS)),
      );
      await using other = await RawOrigin.listen(answering(() => ok('other')));
      await using proxy = await proxyBy([`http://${stuck.authority}`, `http://${other.authority}`]);
      const startedMs = performance.now();
      using client = await proxy.client();
      client.send(get('http://a.test/'));
      await client.until(/other$/);
      assert.ok(performance.now() - startedMs < 3_000);
    }),
  );
}

test(
  'a slow target behind an upstream proxy that answers probes stays on its way',
  leavesNothing(async () => {
    await using upstream = await RawOrigin.listen(
      answering(({ startLine }, peer) => {
        if (startLine.startsWith('OPTIONS * ')) return ok('');
        setTimeout(() => peer.send(ok('slow')), TARGET_MS);
        return '';
      }),
    );
    await using other = await RawOrigin.listen(answering(() => ok('other')));
    await using proxy = await proxyBy([`http://${upstream.authority}`, `http://${other.authority}`]);
    assert.match(await ask(proxy, get('http://a.test/')), /slow$/);
    assert.equal(other.connections.length, 0);
    assert.deepEqual(
      proxy.events.filter(({ type }) => type === 'route-failed' || type === 'notice'),
      [],
    );
  }),
);

test(
  'when no proxy answers, the page says which were tried and why',
  leavesNothing(async () => {
    const [one, two] = [await deadPort(), await deadPort()];
    await using proxy = await proxyBy([`http://me:secret@127.0.0.1:${one}`, `http://127.0.0.1:${two}`]);
    const text = await ask(proxy, get('http://a.test/'));
    assert.ok(text.includes('\r\n\r\nNo upstream proxy could be reached. Every route'), text);
    assert.doesNotMatch(text, /destination/);
    assert.ok(
      text.includes(
        `Every route was tried: http://127.0.0.1:${one} (connection_refused), http://127.0.0.1:${two} (connection_refused).`,
      ),
      text,
    );
    assert.doesNotMatch(text, /secret/);
  }),
);

for (const scheme of ['http', 'ws']) {
  test(
    `a switch of protocols at ${scheme}: passes through an upstream proxy as http:, and its connection serves no other client`,
    leavesNothing(async () => {
      await using upstream = await RawOrigin.listen((peer) =>
        peer.socket.once('data', () =>
          peer.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi'),
        ),
      );
      await using proxy = await proxyBy([`http://${upstream.authority}`]);
      using client = await proxy.client();
      client.send(get(`${scheme}://a.test/`, 'Connection: Upgrade', 'Upgrade: echo'));
      await client.until(/\r\n\r\nhi$/);
      assert.match(
        upstream.text,
        /^GET http:\/\/a\.test\/ HTTP\/1\.1\r\n[\s\S]*Connection: Upgrade\r\nUpgrade: echo\r\n\r\n$/,
      );
      client.send('there');
      await (await upstream.connection()).until('there');
    }),
  );
}

test(
  'a reload with another login at an upstream proxy is in force for all, also when an answer was under way meanwhile',
  leavesNothing(async () => {
    const logins: string[] = [];
    const first = Promise.withResolvers<RawPeer>();
    await using upstream = await RawOrigin.listen((peer) => {
      let turn = 0;
      peer.socket.on('data', (chunk) => {
        turn += 1;
        if (turn === 1) peer.send('\x05\x02');
        else if (turn === 2) {
          logins.push(
            chunk
              .toString('latin1')
              .replace(/[^a-z]+/g, ' ')
              .trim(),
          );
          peer.send('\x01\x00');
        } else if (turn === 3) peer.send('\x05\0\0\x01\0\0\0\0\0\0');
        else if (logins.length === 1) first.resolve(peer);
        else peer.send(ok('new'));
      });
    });
    const as = (password: string) => ({
      listen: 'http://127.0.0.1:0',
      log: { format: 'off' as const },
      routes: { proxy: `socks5://me:${password}@${upstream.authority}` },
    });
    await using proxy = await ProxyUnderTest.start(as('old'));
    using client = await proxy.client();
    client.send(get('http://site.test/'));
    const held = await first.promise;
    await proxy.proxy.reload(resolveOptions(as('new')));
    held.send(ok('old'));
    await answered(client, 1);
    client.send(get('http://site.test/'));
    await answered(client, 2);
    assert.deepEqual(logins, ['me old', 'me new']);
  }),
);
