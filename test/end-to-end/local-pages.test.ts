/** Which clients may read what the proxy port itself serves: the PAC of the user, and a page about this proxy. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { leavesNothing } from '../support/no-leaks.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { temporaryFolder } from '../support/temporary.ts';

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());
const pac = join(folder.path, 'office.pac');
writeFileSync(pac, 'function FindProxyForURL(url, host) { return host == "secret.example" ? "DIRECT" : "PROXY p:1"; }');

async function ask(proxy: ProxyUnderTest, path: string, ...fields: string[]): Promise<string> {
  using client = await proxy.client();
  client.send(`GET ${path} HTTP/1.1\r\n${fields.map((field) => `${field}\r\n`).join('')}Connection: close\r\n\r\n`);
  await client.ended();
  return client.text;
}
const statusOf = (answer: string): number => Number(answer.split(' ')[1]);

test(
  'the PAC is served under the names of this machine only, in every spelling of them',
  leavesNothing(async () => {
    await using proxy = await ProxyUnderTest.start({ routes: { pac } });
    const name = hostname();
    const short = name.replace(/\..*$/, '');
    for (const host of [
      ...['localhost', 'LocalHost', 'localhost.', '127.0.0.1', '127.1.2.3', '[::1]', '[::ffff:127.0.0.1]'],
      ...[name, name.toUpperCase(), `${name}.`, short, `${short}.local`],
    ])
      for (const authority of [host, `${host}:${proxy.port}`, `${host}:9`])
        assert.equal(statusOf(await ask(proxy, '/proxy.pac', `Host: ${authority}`)), 200, authority);
    for (const host of [
      ...[`${name}.evil.example`, `${short}.evil.example`, `${name}.local.evil.example`, `evil.${name}`, `${name}x`],
      ...['localhost.evil.example', 'evil.localhost.example', 'evil.example', '127.0.0.1.evil.example', '192.0.2.1'],
      ...['[2001:db8::1]', 'localhos', 'local'],
    ])
      for (const authority of [host, `${host}:${proxy.port}`])
        for (const path of ['/proxy.pac', '/alpaca.pac', '/proxy.pac?x=1']) {
          const answer = await ask(proxy, path, `Host: ${authority}`);
          assert.equal(statusOf(answer), 404, authority);
          assert.doesNotMatch(answer, /secret\.example/);
        }
  }),
);

test(
  'clients.allow holds for local pages as for requests, and no login is asked for',
  leavesNothing(async () => {
    await using refusing = await ProxyUnderTest.start({ clients: { allow: ['192.0.2.0/24'] }, routes: { pac } });
    for (const path of ['/proxy.pac', '/alpaca.pac', '/', '/nothing']) {
      const answer = await ask(refusing, path, `Host: localhost:${refusing.port}`);
      assert.equal(statusOf(answer), 403, path);
      assert.match(answer, /clients\.allow/);
      assert.doesNotMatch(answer, /secret\.example|curl/);
    }
    assert.equal(refusing.records.at(-1)?.failure, 'denied');
    // No program that reads a PAC can send a password for it.
    await using asking = await ProxyUnderTest.start({
      clients: { allow: ['127.0.0.0/8'], users: { ann: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' } },
      routes: { pac },
    });
    assert.equal(statusOf(await ask(asking, '/proxy.pac', 'Host: localhost')), 200);
    assert.equal(statusOf(await ask(asking, 'http://localhost:1/', 'Host: localhost:1')), 407);
  }),
);

test(
  'a page of another site gets nothing, and what is served cannot be used by one',
  leavesNothing(async () => {
    await using proxy = await ProxyUnderTest.start({ routes: { pac } });
    const host = `Host: localhost:${proxy.port}`;
    const served = (answer: string, path: string) => {
      assert.equal(statusOf(answer), 200, path);
      assert.match(answer, /\r\nX-Content-Type-Options: nosniff\r\n/);
      assert.match(answer, /\r\nCross-Origin-Resource-Policy: same-origin\r\n/);
      assert.match(answer, /\r\nCache-Control: no-store\r\n/);
      assert.doesNotMatch(answer, /Access-Control/i);
    };
    for (const path of ['/proxy.pac', '/alpaca.pac', '/']) {
      for (const fields of [
        [],
        ['Sec-Fetch-Site: none', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'],
        ['Sec-Fetch-Site: same-origin', 'Sec-Fetch-Mode: cors', 'Sec-Fetch-Dest: empty'],
        ['Sec-Fetch-Site: same-origin', `Origin: http://localhost:${proxy.port}`],
        // A link that the user follows: only the user reads what it opens.
        ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'],
        ['Sec-Fetch-Site: same-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'],
      ])
        served(await ask(proxy, path, host, ...fields), path);
      for (const fields of [
        ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: script'],
        ['Sec-Fetch-Site: same-site', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: script'],
        ['sec-fetch-site: Cross-Site'],
        ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: iframe'],
        ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: document'],
        ['Sec-Fetch-Site: something-new'],
        ['Sec-Fetch-Site: same-origin', 'Sec-Fetch-Site: cross-site'],
        ['Origin: http://evil.example'],
        ['Origin: null'],
        [`Origin: http://localhost:${proxy.port + 1}`],
        [`Origin: http://localhost:${proxy.port}.evil.example`],
        ['Origin: http://localhost'],
      ]) {
        const answer = await ask(proxy, path, host, ...fields);
        assert.equal(statusOf(answer), 403, `${path} ${fields.join(', ')}`);
        assert.doesNotMatch(answer, /secret\.example|curl/);
        assert.match(answer, /\r\nX-Content-Type-Options: nosniff\r\n/);
        assert.match(answer, /\r\nCross-Origin-Resource-Policy: same-origin\r\n/);
      }
    }
    // What a plain request carries about its page concerns the browser and the origin only.
    const forwarded = await ask(proxy, 'http://127.0.0.1:9/', 'Host: 127.0.0.1:9', 'Sec-Fetch-Site: cross-site');
    assert.doesNotMatch(forwarded, /Cross-Origin-Resource-Policy/);
    assert.notEqual(statusOf(forwarded), 403);
  }),
);
