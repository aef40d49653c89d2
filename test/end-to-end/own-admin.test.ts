/** CVE-2025-23217: the API of mitmweb could be reached through the proxy itself, past what keeps other machines out. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startProxy } from '../../src/index.ts';
import { adminUnderTest } from '../support/admin.ts';
import { selfSigned } from '../support/certificate.ts';
import { RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { portOf } from '../support/traffic.ts';

const TOKEN = 'the-token-of-this-test-0123456789';

/** Every address of this machine, and for IPv4 the forms in which IPv6 holds it. */
const OWN_ADDRESSES = Object.values(networkInterfaces())
  .flatMap((all = []) => all)
  .filter(({ address }) => !address.startsWith('fe80:'))
  .flatMap(({ address, family }) => (family === 'IPv4' ? [address, `[::ffff:${address}]`] : [`[${address}]`]));

const NAMES = ['localhost', 'LOCALHOST', '127.1.2.3', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0', '[::]', hostname()];

/** What a client tries to reach it by. */
const attempts = (host: string, port: number): string[] => [
  `CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`,
  `GET http://${host}:${port}/api/status HTTP/1.1\r\nHost: ${host}:${port}\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`,
  `GET http://${host}:${port}/ HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`,
];

async function answerTo(port: number, request: string): Promise<string> {
  using client = await rawClient(port);
  client.send(request);
  await client.until('\r\n\r\n');
  return client.text;
}

test('an admin listener on every address is reached by none of them', async () => {
  using folder = temporaryFolder();
  const { key, cert } = selfSigned();
  const files = { cert: join(folder.path, 'cert.pem'), key: join(folder.path, 'key.pem') };
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key);
  const token = join(folder.path, 'token');
  writeFileSync(token, TOKEN, { mode: 0o600 });
  await using proxy = await startProxy({ admin: { listen: '0.0.0.0:0', token: `file:${token}`, tls: files } });
  const adminPort = Number(new URL(proxy.admin?.url ?? '').port);
  assert.ok(OWN_ADDRESSES.length > 1);
  for (const host of [...NAMES, ...OWN_ADDRESSES]) {
    for (const request of attempts(host, adminPort)) {
      assert.match(await answerTo(portOf(proxy.url), request), /^HTTP\/1\.1 508 /, request);
    }
  }
});

test('nor by a request that the dashboard explains', async () => {
  using at = await adminUnderTest();
  const adminPort = Number(new URL(at.instance.admin ?? '').port);
  for (const url of [`http://localhost:${adminPort}/api/token`, `http://127.0.0.1:${at.port}/`]) {
    const { status, json } = await at.api('/api/explain', 'POST', { url });
    assert.equal(status, 200);
    assert.match(Object(json).page, /HTTP\/1\.1 508 /, url);
  }
  const refused = await at.api('/api/explain', 'POST', { url: 'ftp://a.example' });
  assert.deepEqual(
    [refused.status, Object(refused.json).error.message],
    [400, 'ftp:// cannot be explained; use https://, http://'],
  );
});

test('nor through an upstream proxy: what names this machine is not asked of one', async () => {
  await using upstream = await RawOrigin.listen((peer) => peer.send('HTTP/1.1 200 OK\r\n\r\n'));
  using at = await adminUnderTest('--proxy', `http://${upstream.authority}`);
  const adminPort = Number(new URL(at.instance.admin ?? '').port);
  for (const host of ['127.0.0.1', '[::ffff:127.0.0.1]', 'localhost']) {
    for (const request of attempts(host, adminPort)) {
      assert.match(await answerTo(at.port, request), /^HTTP\/1\.1 508 /, request);
    }
  }
  assert.equal(upstream.connections.length, 0);
});

test('nor through an upstream proxy that sends requests back here: their Via is known', async () => {
  let back = 0;
  const upstream = createServer((asked) => {
    const again = connect(back, '127.0.0.1');
    for (const socket of [asked, again]) socket.on('error', () => socket.destroy());
    asked.pipe(again).pipe(asked);
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  {
    using at = await adminUnderTest('--proxy', `http://127.0.0.1:${port}`);
    back = at.port;
    const adminPort = Number(new URL(at.instance.admin ?? '').port);
    // A name that only the upstream proxy could know as this machine.
    for (const request of attempts('here.example', adminPort)) {
      const text = await answerTo(at.port, request);
      assert.match(text, /^HTTP\/1\.1 50[28] /, request);
      assert.match(text, /508|loop/i, text);
    }
  }
  upstream.close();
});
