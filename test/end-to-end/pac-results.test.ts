import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { viaductEnds } from '../support/cli.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { temporaryFolder } from '../support/temporary.ts';

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());

function script(body: string): string {
  const path = join(folder.path, 'answers.pac');
  writeFileSync(path, `function FindProxyForURL(url, host) { ${body} }`);
  return path;
}

/** The answer to a request about which the script has decided: on a busy machine the first ones may not wait for it. */
async function answerTo(proxy: ProxyUnderTest, head: string): Promise<string> {
  for (;;) {
    using client = await proxy.client();
    client.send(`${head}\r\nConnection: close\r\n\r\n`);
    await client.until(/\r\n\r\n/);
    if (!client.text.includes('error=destination_not_found')) return client.text;
  }
}

const notices = (proxy: ProxyUnderTest): string[] =>
  proxy.events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));

test(
  'port 0 blocks a host, for tunnels and plain requests: nothing is sent, and no proxy is marked down for it',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('direct')));
    for (const block of [
      'PROXY 0.0.0.0:0',
      'PROXY 127.0.0.1:0',
      'SOCKS localhost:0; HTTPS 0:0',
      'PROXY no.such.name:0',
    ]) {
      await using proxy = await ProxyUnderTest.start({ routes: { pac: script(`return "${block}";`) } });
      const { authority } = origin;
      for (const head of [
        `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}`,
        `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}`,
        `POST http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: 0`,
      ]) {
        const answer = await answerTo(proxy, head);
        assert.match(answer, /^HTTP\/1\.1 502 /, block);
        assert.match(answer, /\r\nProxy-Status: viaduct; error=connection_refused\r\n/);
      }
      const blocked = proxy.records.filter(({ failure }) => failure !== 'no_route');
      assert.deepEqual(
        blocked.map(({ failure, route }) => [failure, route]),
        Array(3).fill(['connection_refused', undefined]),
      );
      assert.deepEqual(
        notices(proxy).filter((message) => /is marked down/.test(message)),
        [],
      );
      assert.equal(proxy.events.filter(({ type }) => type === 'dns' || type === 'dialing').length, 0);
    }
    assert.equal(origin.text, '');
  }),
);

test(
  'behind port 0 the next entry is used',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('direct')));
    const pac = script('return "PROXY 0.0.0.0:0; DIRECT";');
    await using proxy = await ProxyUnderTest.start({ routes: { pac } });
    const { authority } = origin;
    const answer = await answerTo(proxy, `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}`);
    assert.match(answer, /^HTTP\/1\.1 200 /);
  }),
);

test(
  'entries that cannot be read count as DIRECT, and are logged',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('direct')));
    await using proxy = await ProxyUnderTest.start({ routes: { pac: script('return "PORXY a:1";') } });
    const { authority } = origin;
    const answer = await answerTo(proxy, `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}`);
    assert.match(answer, /^HTTP\/1\.1 200 /);
    const said = notices(proxy).filter((message) => /cannot be read/.test(message));
    assert.equal(said.length, 1);
    assert.match(said[0] ?? '', /answers\.pac, for 127\.0\.0\.1: "PORXY a:1" cannot be read: .* goes DIRECT/);
  }),
);

test('why and pac say what port 0 and entries that cannot be read mean', async () => {
  const blocking = script('return "PROXY 0.0.0.0:0";');
  const why = async () => (await viaductEnds(['why', '--pac', blocking, 'http://127.0.0.1:9/'])).out.split('\n');
  const pac = async () => (await viaductEnds(['pac', blocking, 'http://127.0.0.1:9/'])).out.split('\n');
  assert.deepEqual((await why()).slice(-4), [
    '  route    http://0.0.0.0:0',
    '  address  port 0: it cannot be reached, and nothing is sent',
    '=> fails with 502: port 0 blocks it',
    '',
  ]);
  assert.ok((await pac()).includes('   first http://0.0.0.0:0, which cannot be reached: port 0'));
  script('return "PROXY 0.0.0.0:0; DIRECT";');
  assert.equal((await why()).at(-2), '=> would be served');
  script('return "PORXY a:1";');
  const message = '"PORXY a:1" cannot be read: the request goes DIRECT, as in Chromium';
  assert.ok((await why()).includes(`           ${message}`));
  assert.ok((await pac()).includes(`   ${message}`));
});
