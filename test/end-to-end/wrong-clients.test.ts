/** Clients that take this proxy for another kind of server: the log and the page name the mistake. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonRecord } from '../../src/observe/format-json.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';

const CURLS: readonly (readonly [what: string, words: (port: number) => string[], detail: RegExp])[] = [
  [
    'SOCKS5',
    (port) => ['--socks5-hostname', `127.0.0.1:${port}`],
    /"detail":"a SOCKS5 client at a listener for HTTP; set this proxy as an HTTP proxy/,
  ],
  ['SOCKS4', (port) => ['--socks4a', `127.0.0.1:${port}`], /"detail":"a SOCKS4 client at a listener for HTTP/],
  [
    'TLS',
    (port) => ['--proxy', `https://127.0.0.1:${port}`],
    /"detail":"a TLS client at a listener for plain HTTP; write http:\/\//,
  ],
];
for (const [what, words, detail] of CURLS) {
  test(`a ${what} client at a port for HTTP is named in the log`, { skip: missing('curl') }, async () => {
    await using proxy = await ProxyUnderTest.start();
    const { code } = await run('curl', ['-s', ...words(proxy.port), 'http://far.test/']);
    assert.notEqual(code, 0);
    assert.match(jsonRecord(await proxy.record()), detail);
  });
}

async function answer(proxy: ProxyUnderTest, request: string): Promise<string> {
  using client = await proxy.client();
  client.send(request);
  await client.until(/\r\n\r\n[\s\S]*request [0-9a-f]{6}-[0-9a-z]+\.\n$|proxy\.pac\n/);
  return client.text;
}

test(
  'a request for another host as if this were its web server is hinted at request_fulluri, with any method',
  leavesNothing(async () => {
    await using proxy = await ProxyUnderTest.start();
    for (const [start, status] of [
      ['GET /index.php?a=b', 404],
      ['POST /api', 405],
    ] as const) {
      const page = await answer(proxy, `${start} HTTP/1.1\r\nHost: www.far.test\r\nConnection: close\r\n\r\n`);
      assert.match(page, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.match(page, /'request_fulluri' => true/);
      const ours = await answer(
        proxy,
        `${start} HTTP/1.1\r\nHost: localhost:${proxy.port}\r\nConnection: close\r\n\r\n`,
      );
      assert.match(ours, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.doesNotMatch(ours, /request_fulluri/);
    }
    const details = proxy.records.map(({ detail }) => detail);
    assert.equal(details.filter((detail) => detail?.includes('request_fulluri')).length, 2);
  }),
);

test(
  'a URL of another scheme is answered with what fits it',
  leavesNothing(async () => {
    await using proxy = await ProxyUnderTest.start();
    for (const [url, sentence] of [
      ['https://far.test/', /\r\n\r\nAn https URL is reached through a tunnel: /],
      ['ftp://far.test/file', /\r\n\r\nThis proxy does not speak FTP: /],
      ['socks5h://far.test:1080', /\r\n\r\nA URL of this scheme names a proxy: /],
      ['gopher://far.test/', /\r\n\r\nThis proxy forwards http URLs; /],
    ] as const) {
      const page = await answer(proxy, `GET ${url} HTTP/1.1\r\nHost: far.test\r\n\r\n`);
      assert.match(page, /^HTTP\/1\.1 501 /);
      assert.match(page, sentence);
    }
  }),
);
