/** What clients show of a failed CONNECT that never show its body. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigInput } from '../../src/config/schema.ts';
import type { Lookup } from '../../src/upstream/dial/resolver.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { connectTo } from '../support/requests.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';

const noSuchName: Lookup = (host) =>
  Promise.reject(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' }));
const secretAddress: Lookup = () => Promise.resolve(['10.98.76.54']);

async function statusLine(proxy: ProxyUnderTest, authority: string): Promise<string> {
  using client = await proxy.client();
  client.send(connectTo(authority));
  await client.ended();
  return client.text.slice(0, client.text.indexOf('\r\n'));
}

const EXPOSED: ConfigInput = { listen: 'http://0.0.0.0:0', clients: { allow: ['127.0.0.0/8'] } };

const CASES: readonly (readonly [line: string, authority: string, config: ConfigInput, lookup: Lookup])[] = [
  ['502 dns_failed: no-such.example does not exist', 'no-such.example:443', {}, noSuchName],
  ['502 dns_failed: no-such.example does not exist', 'no-such.example:443', EXPOSED, noSuchName],
  ['502 connection_refused: 127.0.0.1:9 refused the connection', '127.0.0.1:9', {}, secretAddress],
  [
    '403 address_prohibited: this proxy does not connect to the address of inside.example',
    'inside.example:443',
    EXPOSED,
    secretAddress,
  ],
  ['403 denied: a rule of this proxy does not allow a.example:25', 'a.example:25', EXPOSED, secretAddress],
  [
    '403 denied: a rule of this proxy does not allow ads.example:443',
    'ads.example:443',
    { access: [{ name: 'ads', deny: { hosts: ['.ads.example'] } }] },
    secretAddress,
  ],
  [
    '502 connection_refused: far.example: the upstream proxy could not be reached',
    'far.example:443',
    { ...EXPOSED, routes: { proxy: 'http://127.0.0.1:9' } },
    secretAddress,
  ],
  [
    '502 dns_failed: far.example: the upstream proxy could not be reached',
    'far.example:443',
    { routes: { proxy: 'http://parent-of-ours.example:8080' } },
    noSuchName,
  ],
  [
    '407 client_auth_required: a.example: proxy authentication required: send a user name and password',
    'a.example:443',
    { clients: { users: { ann: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' } } },
    secretAddress,
  ],
];
for (const [line, authority, config, lookup] of CASES) {
  const where = config.listen === undefined ? 'this machine' : 'a stranger';
  test(
    `CONNECT ${authority} for ${where} is answered ${line}`,
    leavesNothing(async () => {
      await using proxy = await ProxyUnderTest.start(config, { lookup });
      const first = await statusLine(proxy, authority);
      assert.equal(first, `HTTP/1.1 ${line}`);
      assert.doesNotMatch(first, /10\.98\.76\.54|parent-of-ours/);
    }),
  );
}

test(
  'of an upstream proxy that refuses neither the name nor the words are in the status line',
  leavesNothing(async () => {
    await using upstream = await RawOrigin.listen(
      answering(() => 'HTTP/1.1 503 <b>secret</b>\r\nContent-Length: 0\r\n\r\n'),
    );
    await using proxy = await ProxyUnderTest.start({ routes: { proxy: `http://${upstream.authority}` } });
    assert.equal(
      await statusLine(proxy, 'far.example:443'),
      'HTTP/1.1 502 upstream_failed: the upstream proxy could not reach far.example:443',
    );
  }),
);

const PYTHON = 'import urllib.request; urllib.request.urlopen("https://no-such.example/")';
for (const [program, words] of [
  ['curl', ['-sv', 'https://no-such.example/']],
  ['wget', ['--tries=1', '--no-config', '-O-', 'https://no-such.example/']],
  ['python3', ['-c', PYTHON]],
] as const) {
  test(`${program} shows why a tunnel failed`, { skip: missing(program) }, async () => {
    await using proxy = await ProxyUnderTest.start({}, { lookup: noSuchName });
    const { err } = await run(program, words, { environment: { https_proxy: `http://127.0.0.1:${proxy.port}` } });
    assert.match(err, /dns_failed: no-such\.example does not exist/);
  });
}

test('a plain request keeps the usual phrase: its client reads the page', async () => {
  await using proxy = await ProxyUnderTest.start({}, { lookup: noSuchName });
  using client = await proxy.client();
  client.send('GET http://no-such.example/ HTTP/1.1\r\nHost: no-such.example\r\n\r\n');
  await client.until(/^HTTP\/1\.1 502 Bad Gateway\r\n/);
});
