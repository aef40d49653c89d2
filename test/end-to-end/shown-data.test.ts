import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import { adminUnderTest, rowsIn } from '../support/admin.ts';
import { selfSigned } from '../support/certificate.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { temporaryFolder } from '../support/temporary.ts';

for (const words of [[], ['--workers', '2']]) {
  test(`accounts, rules, totals and latencies are shown, and no secret ${words.join(' ')}`, async () => {
    await using upstream = await RawOrigin.listen(answering(() => ok('hello')));
    using folder = temporaryFolder();
    const file = join(folder.path, 'viaduct.yaml');
    writeFileSync(
      file,
      `access: [{ name: ads, deny: { hosts: [.ads.example] } }, { name: trial, report: true, deny: { hosts: [b.example] } }]
routes:
  proxy: 'http://me:hunter2@${upstream.authority}'
  rules: [{ name: ads, hosts: [b.example], via: 'PROXY ${upstream.authority}' }, { hosts: [never.example], via: DIRECT }]
credentials: { lab: { user: you, domain: LAB, from: 'env:LAB_PASSWORD' } }
`,
    );
    const environment = { LAB_PASSWORD: 'swordfish' };
    using at = await adminUnderTest({ environment, words: ['--config', file, ...words] });
    for (const host of ['a.example', 'b.example', 'a.example']) {
      using client = await rawClient(at.port);
      client.send(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      await client.ended();
      assert.match(client.text, /hello$/);
    }
    const credentials = await at.api('/api/credentials');
    assert.deepEqual(credentials.json, {
      accounts: [
        {
          upstream: `http://${upstream.authority}`,
          user: 'me',
          source: 'URL of the proxy',
          schemes: ['negotiate', 'ntlm', 'digest', 'basic'],
          isRejected: false,
        },
        { upstream: `http://${upstream.authority}`, schemes: ['negotiate'], isRejected: false },
        { account: 'lab', user: 'LAB\\you', source: 'env:LAB_PASSWORD' },
      ],
    });
    assert.deepEqual(
      rowsIn((await at.api('/api/rules')).json, 'rules').map(({ kind, name, verdict, hits }) => [
        kind,
        name,
        verdict,
        hits,
      ]),
      [
        ['access', 'default', 'allow', 3],
        ['report', 'trial', 'deny', 1],
        ['route', 'ads', undefined, 1],
        ['access', 'ads', 'deny', 0],
        ['route', 'rule 2', undefined, 0],
      ],
    );
    const totals = rowsIn((await at.api('/api/totals?by=host&window=day')).json, 'totals');
    assert.deepEqual(totals, [
      { key: 'a.example', requests: 2, failures: 0, bytesUp: 0, bytesDown: 10 },
      { key: 'b.example', requests: 1, failures: 0, bytesUp: 0, bytesDown: 5 },
    ]);
    const byRoute = rowsIn((await at.api('/api/totals?by=route')).json, 'totals');
    assert.deepEqual(
      byRoute.map(({ key, requests }) => [key, requests]),
      [[`http://${upstream.authority}`, 3]],
    );
    const [shown = {}] = rowsIn((await at.api('/api/upstreams')).json, 'upstreams');
    assert.equal(shown.name, `http://${upstream.authority}`);
    assert.ok(Array.isArray(shown.latencyMs) && shown.latencyMs.length > 0);
    for (const ms of shown.latencyMs) assert.ok(typeof ms === 'number' && ms >= 0 && ms < 5_000, String(ms));
    const all = JSON.stringify(
      await Promise.all(
        ['credentials', 'rules', 'totals', 'upstreams', 'status', 'config', 'tunnels?closed=1', 'mode'].map((path) =>
          at.api(`/api/${path}`),
        ),
      ),
    );
    for (const secret of ['hunter2', 'swordfish', at.token]) assert.ok(!all.includes(secret), secret);
  });
}

test('the steps of a request through an https: proxy show how long TLS with it took', async () => {
  using folder = temporaryFolder();
  const certificate = selfSigned();
  const ca = join(folder.path, 'ca.pem');
  const file = join(folder.path, 'viaduct.yaml');
  writeFileSync(ca, certificate.cert);
  const server = createServer(certificate, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const url = `https://localhost:${port}`;
    writeFileSync(file, `upstreams: [{ host: localhost, ca: '${ca}' }]\nroutes: { proxy: '${url}' }\n`);
    using at = await adminUnderTest('--config', file);
    using client = await rawClient(at.port);
    client.send('GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
    await client.ended();
    assert.match(client.text, /hello$/);
    const [row] = rowsIn((await at.api('/api/tunnels?closed=1')).json);
    const steps = rowsIn((await at.api(`/api/tunnels/${row?.id}/steps`)).json, 'steps');
    assert.deepEqual(
      steps.map(({ what }) => what),
      ['dns', 'dial', 'tls', 'first-byte'],
    );
    const [, dial, tls, byte] = steps;
    assert.equal(tls?.about, `with ${url}`);
    assert.ok(Number(tls?.ms) > 0);
    assert.ok(Number(dial?.startMs) + Number(dial?.ms) <= Number(tls?.startMs) + 0.02);
    assert.ok(Number(tls?.startMs) + Number(tls?.ms) <= Number(byte?.startMs) + 0.02);
  } finally {
    server.close();
  }
});
