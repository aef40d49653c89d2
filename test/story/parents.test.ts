/** Plain HTTP through parents, byte for byte: forms of the target, pooled connections, faults of a parent. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveOptions } from '../../src/config/schema.ts';
import type { Route } from '../../src/core/stages.ts';
import { parseProxyUrl } from '../../src/protocol/proxy-url.ts';
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
  return ProxyUnderTest.start(config, { brought: { router: { route: () => ({ routes, by: { kind: 'proxy' } }) } } });
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

/** A port that nobody listens on. */
async function deadPort(): Promise<number> {
  await using origin = await RawOrigin.listen();
  return origin.port;
}

test(
  'a parent gets the absolute form, the client’s Host, our Via, and when it asks, the login of its own URL',
  leavesNothing(async () => {
    const asks = 'HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm="corp"\r\nContent-Length: 0\r\n\r\n';
    await using parent = await RawOrigin.listen(
      answering(({ fields }) =>
        fields.has('proxy-authorization') ? ok('ok', 'Proxy-Authentication-Info: secret') : asks,
      ),
    );
    await using proxy = await proxyBy([`http://me:p%40ss@${parent.authority}`]);
    const text = await ask(
      proxy,
      get('http://site.test:8080/a?b', 'Proxy-Authorization: Basic c2VjcmV0', 'Connection: keep-alive'),
    );
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
    assert.doesNotMatch(text, /secret/);
    assert.match(
      parent.text,
      /^(GET http:\/\/site\.test:8080\/a\?b HTTP\/1\.1\r\nHost: site\.test:8080\r\nVia: 1\.1 viaduct-[0-9a-f]{12}\r\n)\r\n\1Proxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n$/,
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
      await using parent = await RawOrigin.listen(answering(() => ok('')));
      await using proxy = await proxyBy([`http://${parent.authority}`]);
      const authority = /http:\/\/([^/?]+)/.exec(request)?.[1]?.split(' ')[0] ?? '';
      await ask(proxy, `${request}\r\nHost: ${authority}\r\n\r\n`);
      assert.equal(parent.text.split('\r\n')[0], line);
    }),
  );
}

test(
  'an idle connection to a parent serves requests to any target; one to an origin only its own',
  leavesNothing(async () => {
    await using parent = await RawOrigin.listen(answering(() => ok('ok')));
    await using proxy = await proxyBy([`http://${parent.authority}`]);
    for (const host of ['a.test', 'b.test:81', 'c.test']) await ask(proxy, get(`http://${host}/`));
    assert.equal(parent.connections.length, 1);
    assert.equal(parent.text.split('GET http://').length, 4);
  }),
);

test(
  'a connection on which somebody authenticates by NTLM or Negotiate is used once',
  leavesNothing(async () => {
    await using parent = await RawOrigin.listen(answering(() => ok('ok', 'WWW-Authenticate: NTLM')));
    await using proxy = await proxyBy([`http://${parent.authority}`]);
    await ask(proxy, get('http://a.test/'));
    await ask(proxy, get('http://a.test/', 'Authorization: Negotiate YII='));
    await ask(proxy, get('http://a.test/'));
    assert.equal(parent.connections.length, 3);
  }),
);

test(
  'a request that meets a connection which the parent has just closed is sent again to it, and not to the next',
  leavesNothing(async () => {
    let requests = 0;
    await using parent = await RawOrigin.listen((peer) =>
      peer.socket.on('data', () => {
        requests += 1;
        if (requests === 2) peer.end();
        else peer.send(ok('first'));
      }),
    );
    await using other = await RawOrigin.listen(answering(() => ok('other')));
    await using proxy = await proxyBy([`http://${parent.authority}`, `http://${other.authority}`]);
    await ask(proxy, get('http://a.test/1'));
    assert.match(await ask(proxy, get('http://a.test/2')), /first$/);
    assert.deepEqual([requests, parent.connections.length, other.connections.length], [3, 2, 0]);
  }),
);

test(
  'the head of a parent’s answer may be cut anywhere, and what follows it belongs to the answer',
  leavesNothing(async () => {
    const wire = Buffer.from('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello');
    let cut = 0;
    await using parent = await RawOrigin.listen((peer) => peer.socket.on('data', () => void peer.sendCut(wire, cut)));
    await using proxy = await proxyBy([`http://${parent.authority}`, 'direct']);
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
    assert.equal(parent.connections.length, 1);
  }),
);

test(
  'a parent’s 407 is for us: the client gets 502 and no challenge, and the page names the proxy',
  leavesNothing(async () => {
    const challenge = 'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="corp"\r\nContent-Length: 4\r\n\r\nwho?';
    await using parent = await RawOrigin.listen(answering(() => challenge));
    await using other = await RawOrigin.listen(answering(() => ok('other')));
    await using proxy = await proxyBy([`http://${parent.authority}`, `http://${other.authority}`]);
    for (const request of [get('http://a.test/'), post('http://a.test/', 'pay')]) {
      const text = await ask(proxy, request);
      assert.match(text, /^HTTP\/1\.1 502 /);
      assert.match(text, /^Proxy-Status: viaduct; error=proxy_configuration_error\r$/m);
      assert.doesNotMatch(text, /Proxy-Authenticate|realm|who\?/i);
      assert.ok(text.includes(`http://${parent.authority}`), text);
    }
    assert.equal(other.connections.length, 0);
  }),
);

for (const status of ['403 Forbidden', '502 Bad Gateway', '503 Unavailable', '504 Timeout']) {
  test(
    `a parent’s own ${status} is the answer, and nobody else is asked`,
    leavesNothing(async () => {
      await using parent = await RawOrigin.listen(answering(() => `HTTP/1.1 ${status}\r\nContent-Length: 2\r\n\r\nno`));
      await using other = await RawOrigin.listen(answering(() => ok('other')));
      await using proxy = await proxyBy([`http://${parent.authority}`, `http://${other.authority}`]);
      assert.match(await ask(proxy, get('http://a.test/')), new RegExp(`^HTTP/1\\.1 ${status}\r\n`));
      assert.equal(other.connections.length, 0);
    }),
  );
}

/** Parents that fail a request that has arrived, each in its own way. */
const FAILING: readonly (readonly [what: string, fail: (peer: RawPeer) => void])[] = [
  ['says nothing and ends', (peer) => void peer.end()],
  ['says nothing and resets', (peer) => peer.reset()],
  ['speaks no HTTP', (peer) => void peer.send('220 smtp.example ESMTP\r\n\r\n').end()],
  ['never ends its first line', (peer) => void peer.send('A'.repeat(200_000))],
  ['ends inside its head', (peer) => void peer.send('HTTP/1.1 200 OK\r\nX: y').end()],
];
for (const [what, fail] of FAILING) {
  test(
    `a parent that ${what}: a GET goes to the next, a POST is 502 and is sent once`,
    leavesNothing(async () => {
      await using parent = await RawOrigin.listen((peer) => void peer.socket.once('data', () => fail(peer)));
      await using other = await RawOrigin.listen(answering(() => ok('other')));
      const ways = [`http://${parent.authority}`, `http://${other.authority}`];
      await using first = await proxyBy(ways);
      assert.match(await ask(first, get('http://a.test/')), /^HTTP\/1\.1 200 OK\r\n[\s\S]*other$/);
      await using second = await proxyBy(ways);
      other.connections.length = 0;
      const text = await ask(second, post('http://a.test/', 'pay'));
      assert.match(text, /^HTTP\/1\.1 502 /);
      assert.ok(text.includes(`The way led through http://${parent.authority}.`), text);
      assert.deepEqual([other.connections.length, parent.text.split('POST ').length], [0, 2]);
    }),
  );
}

test(
  'a POST that nobody has been sent yet goes to the next proxy',
  leavesNothing(async () => {
    await using other = await RawOrigin.listen(answering(({ body }) => ok(`got ${body}`)));
    await using proxy = await proxyBy([`http://127.0.0.1:${await deadPort()}`, `http://${other.authority}`]);
    assert.match(await ask(proxy, post('http://a.test/', 'pay')), /got pay$/);
    const { route, failure } = await proxy.record();
    assert.deepEqual([route?.via === 'proxies' && route.hops[0].proxy.port, failure], [other.port, undefined]);
  }),
);

test(
  'a frozen parent: a GET is answered by the next after a second, and the one after it does not even ask the first',
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
    assert.deepEqual(events, ['parent_silent']);
  }),
);

for (const [what, part] of [
  ['half a head', 'HTTP/1.1 200 Con'],
  ['no more than interim answers', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n'],
] as const) {
  test(
    `a parent that says ${what} and then nothing is as dead as one that is silent`,
    leavesNothing(async () => {
      await using stuck = await RawOrigin.listen(
        (peer) => void peer.socket.once('data', () => setTimeout(() => peer.send(part), 300)),
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
  'a slow target behind a parent that answers probes stays on its way',
  leavesNothing(async () => {
    await using parent = await RawOrigin.listen(
      answering(({ startLine }, peer) => {
        if (startLine.startsWith('OPTIONS * ')) return ok('');
        setTimeout(() => peer.send(ok('slow')), 1_700);
        return '';
      }),
    );
    await using other = await RawOrigin.listen(answering(() => ok('other')));
    await using proxy = await proxyBy([`http://${parent.authority}`, `http://${other.authority}`]);
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
    assert.ok(text.includes('\r\n\r\nNo upstream proxy could be reached. Every way'), text);
    assert.doesNotMatch(text, /destination/);
    assert.ok(
      text.includes(`Every way was tried: http://127.0.0.1:${one} (refused), http://127.0.0.1:${two} (refused).`),
      text,
    );
    assert.doesNotMatch(text, /secret/);
  }),
);

test(
  'a switch of protocols passes through a parent, and its connection serves nobody else',
  leavesNothing(async () => {
    await using parent = await RawOrigin.listen((peer) =>
      peer.socket.once('data', () =>
        peer.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi'),
      ),
    );
    await using proxy = await proxyBy([`http://${parent.authority}`, 'direct']);
    using client = await proxy.client();
    client.send(get('http://a.test/', 'Connection: Upgrade', 'Upgrade: echo'));
    await client.until(/\r\n\r\nhi$/);
    assert.match(
      parent.text,
      /^GET http:\/\/a\.test\/ HTTP\/1\.1\r\n[\s\S]*Connection: Upgrade\r\nUpgrade: echo\r\n\r\n$/,
    );
    client.send('there');
    await (await parent.connection()).until('there');
  }),
);

test(
  'a reload with another login at a parent is in force for all, also when an answer was under way meanwhile',
  leavesNothing(async () => {
    const logins: string[] = [];
    const first = Promise.withResolvers<RawPeer>();
    await using parent = await RawOrigin.listen((peer) => {
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
      routes: { proxy: `socks5://me:${password}@${parent.authority}` },
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
