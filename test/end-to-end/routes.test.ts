import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startProxy } from '../../src/index.ts';
import { viaduct } from '../support/cli.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** An upstream proxy that sends its name in the first bytes of each tunnel, and answers plain requests with it. */
const upstreamNamed = (name: string): Promise<RawOrigin> =>
  RawOrigin.listen(
    answering(({ startLine }) =>
      startLine.startsWith('CONNECT ')
        ? `HTTP/1.1 200 OK\r\n\r\n${name}`
        : `HTTP/1.1 200 OK\r\nContent-Length: ${name.length}\r\n\r\n${name}`,
    ),
  );

/** An origin that sends `direct` first. */
const origin = (host = '127.0.0.1'): Promise<RawOrigin> => RawOrigin.listen((peer) => peer.send('direct'), { host });

/** The name of the server at the other end of a tunnel to `authority`. */
async function whoAnswers(port: number, authority: string): Promise<string> {
  using client = await rawClient(port);
  client.send(connectTo(authority));
  await client.until(/\r\n\r\n./s);
  return bodyOf(client);
}

const bodyOf = ({ text }: RawPeer): string => text.slice(text.indexOf('\r\n\r\n') + 4);

test(
  'exceptions go direct, rules have their own proxies, and the rest goes through the one that is configured',
  leavesNothing(async () => {
    await using corp = await upstreamNamed('corp');
    await using usual = await upstreamNamed('usual');
    await using near = await origin();
    await using proxy = await ProxyUnderTest.start({
      routes: {
        noProxy: [`127.0.0.1:${near.port}`],
        rules: [{ name: 'office', hosts: ['.corp.example'], ports: [443], via: `PROXY ${corp.authority}; DIRECT` }],
        proxy: `http://${usual.authority}`,
      },
    });
    assert.equal(await whoAnswers(proxy.port, near.authority), 'direct');
    assert.equal(await whoAnswers(proxy.port, 'wiki.corp.example:443'), 'corp');
    assert.equal(await whoAnswers(proxy.port, 'wiki.corp.example:80'), 'usual');
    assert.equal(await whoAnswers(proxy.port, 'far.example:443'), 'usual');
    assert.match(corp.text, /^CONNECT wiki\.corp\.example:443 HTTP\/1\.1\r\n/);
    const by = proxy.events.flatMap((event) => (event.type === 'routed' ? [event.by] : []));
    assert.deepEqual(by, [
      { kind: 'no-proxy', entry: `127.0.0.1:${near.port}` },
      { kind: 'rule', rule: 'office' },
      { kind: 'proxy' },
      { kind: 'proxy' },
    ]);
  }),
);

test(
  'a plain request goes to a configured proxy in absolute form, with its login, which no other server gets',
  leavesNothing(async () => {
    const asks = 'HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm="usual"\r\nContent-Length: 0\r\n\r\n';
    await using usual = await RawOrigin.listen(
      answering(({ fields }) => (fields.has('proxy-authorization') ? ok('usual') : asks)),
    );
    await using proxy = await ProxyUnderTest.start({ routes: { proxy: `http://me:p%40ss@${usual.authority}` } });
    using client = await proxy.client();
    client.send('GET http://far.example/a?b HTTP/1.1\r\nHost: far.example\r\n\r\n');
    assert.match(await client.until('usual'), /^HTTP\/1\.1 200 /);
    assert.match(usual.text, /^GET http:\/\/far\.example\/a\?b HTTP\/1\.1\r\n/);
    const login = Buffer.from('me:p@ss').toString('base64');
    assert.match(usual.text, new RegExp(`Proxy-Authorization: Basic ${login}\r\n`, 'i'));
    assert.ok(!JSON.stringify(proxy.events).includes('p@ss'));
  }),
);

test(
  'a hook chooses the route, a list is tried in order, and a result that is not a route is refused without its secret',
  leavesNothing(async () => {
    await using usual = await upstreamNamed('usual');
    await using near = await origin();
    const closed = await RawOrigin.listen();
    const dead = `http://${closed.authority}`;
    await closed[Symbol.asyncDispose]();
    await using proxy = await startProxy({
      route: ({ target }) => {
        if (target.host === 'far.example') return [dead, `http://${usual.authority}`];
        if (target.host === 'odd.example') return 'gopher://me:hunter2@proxy.example';
        return 'direct';
      },
    });
    const port = Number(new URL(proxy.url).port);
    assert.equal(await whoAnswers(port, 'far.example:443'), 'usual');
    assert.equal(await whoAnswers(port, near.authority), 'direct');
    const failures: string[] = [];
    proxy.on('close', ({ record }) => failures.push(JSON.stringify(record)));
    assert.match(await whoAnswers(port, 'odd.example:443'), /No route to that destination/);
    assert.match(failures.join(), /no_route/);
    assert.ok(!failures.join().includes('hunter2'));
  }),
);

test('the command goes through --proxy, and around it for --noproxy and NO_PROXY', async () => {
  await using usual = await upstreamNamed('usual');
  await using near = await origin();
  await using other = await origin('127.0.0.2');
  const through = async (flags: readonly string[], environment: Readonly<Record<string, string>>) => {
    using running = viaduct(
      ['run', '-l', '127.0.0.1:0', '--log', 'off', '-x', `http://${usual.authority}`, ...flags],
      environment,
    );
    const port = await running.port();
    const targets = ['far.example:443', near.authority, other.authority];
    return await Promise.all(targets.map((target) => whoAnswers(port, target)));
  };
  assert.deepEqual(await through([], {}), ['usual', 'usual', 'usual']);
  assert.deepEqual(await through(['--noproxy', '127.0.0.1'], {}), ['usual', 'direct', 'usual']);
  assert.deepEqual(await through([], { NO_PROXY: '127.0.0.2/32' }), ['usual', 'usual', 'direct']);
});

test('new routes of a saved file hold for the next request', async () => {
  await using usual = await upstreamNamed('usual');
  await using near = await origin();
  using folder = temporaryFolder();
  const path = join(folder.path, 'viaduct.yaml');
  writeFileSync(path, 'listen: 127.0.0.1:0\nlog: { format: off }\nroutes: { pac: none }\n');
  using running = viaduct(['run', '-c', path]);
  const port = await running.port();
  assert.equal(await whoAnswers(port, near.authority), 'direct');
  writeFileSync(
    path,
    `listen: 127.0.0.1:0\nlog: { format: off }\nroutes: { proxy: "http://me:hunter2@${usual.authority}" }\n`,
  );
  const said = await running.says(/reloaded/);
  assert.match(said, /reloaded: routes\.proxy\n/);
  assert.doesNotMatch(said, /hunter2/);
  assert.equal(await whoAnswers(port, near.authority), 'usual');
});
