import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { request as tlsRequest } from 'node:https';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { selfSigned } from '../../test/support/certificate.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import { rawClient } from '../../test/support/raw-client.ts';
import { temporaryFolder } from '../../test/support/temporary.ts';
import { until } from '../../test/support/until.ts';
import { type ConfigInput, resolveOptions } from '../config/schema.ts';
import type { ProxyEvent } from '../contracts/event.ts';
import { adminToken } from '../credentials/admin-token.ts';
import { NOTHING_MEASURED } from '../observe/process-measures.ts';
import { noCounts } from '../observe/request-counter.ts';
import { systemClock } from '../util/clock.ts';
import type { ControlledProxy } from './controlled-proxy.ts';
import { addressesOf, reserveAdmin } from './listen.ts';
import { AdminServer } from './server.ts';

const PROXY: ControlledProxy = {
  urls: ['http://127.0.0.1:3128'],
  workers: 1,
  name: 'viaduct',
  relay: 'portable',
  open: 0,
  look: () => ({ live: [], ended: [], cursor: new Map(), counts: noCounts(), loopDelayMs: 0 }),
  end: () => 0,
  measure: () => Promise.resolve(NOTHING_MEASURED),
  limits: () => Promise.resolve([]),
  limitStore: undefined,
  setRate: () => false,
  ways: () => Promise.resolve({ upstreams: [], pac: { state: 'none' } }),
  why: () => Promise.resolve({ report: '{}' }),
  modes: { mode: 'configured', available: [], serves: 'local' } as const,
  setMode: () => undefined,
  accounts: () => Promise.resolve([]),
  rules: [],
  steps: () => [],
  totals: () => [],
};

const TOKEN = 'a-token-of-a-test-0123456789';

interface Started extends AsyncDisposable {
  readonly server: AdminServer;
  readonly port: number;
  readonly notices: readonly string[];
  /** The response to these bytes: status, and the code of the error or the JSON. */
  ask(head: string, body?: string): Promise<string>;
}

async function started(admin: ConfigInput['admin'] = {}, clock = systemClock): Promise<Started> {
  process.env.VIADUCT_TEST_TOKEN = TOKEN;
  const settings =
    typeof admin === 'object' ? { listen: '127.0.0.1:0', token: 'env:VIADUCT_TEST_TOKEN', ...admin } : admin;
  const config = resolveOptions({ admin: settings });
  const notices: string[] = [];
  const observe = (event: ProxyEvent) => {
    if (event.type === 'notice') notices.push(event.message);
  };
  const token = adminToken({ origin: config.admin?.token, environment: process.env, stateDir: undefined });
  const server = await AdminServer.open(config.admin, { clock, observe, token, version: '1.2.3', dashboard: '/none' });
  server.serve(PROXY);
  const port = Number(new URL(server.url ?? '').port);
  return {
    server,
    port,
    notices,
    async ask(head, body = '') {
      using client = await rawClient(port);
      client.send(
        `${head.replaceAll('\n', '\r\n').replaceAll('PORT', String(port))}\r\nConnection: close\r\n\r\n${body}`,
      );
      await client.ended();
      const [top = '', rest = ''] = client.text.split('\r\n\r\n');
      const code = /"code":"(\w+)"/.exec(rest)?.[1];
      return `${top.split(' ')[1]} ${code ?? rest.trim().slice(0, 40)}`.trim();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const BEARER = `Authorization: Bearer ${TOKEN}`;

test(
  'what is open, and what needs the token',
  leavesNothing(async () => {
    await using at = await started();
    const get = (path: string, ...fields: string[]) =>
      at.ask([`GET ${path} HTTP/1.1`, 'Host: 127.0.0.1:PORT', ...fields].join('\n'));
    assert.equal(await get('/healthz'), '200 {"status":"ok"}');
    assert.equal(await get('/readyz'), '200 {"status":"serving"}');
    assert.match(await get('/'), /^200 <!doctype html>/);
    assert.equal(await get('/no-such-file'), '404 not_found');
    assert.equal(await get('/api/status'), '401 unauthorized');
    assert.equal(await get('/api/no-such-path'), '401 unauthorized');
    assert.equal(await get('/api'), '401 unauthorized');
    assert.equal(await get(`/api/status?token=${TOKEN}`), '401 unauthorized');
    assert.equal(await get('/api/status', `Cookie: token=${TOKEN}`), '401 unauthorized');
    assert.equal(await get('/api/status', `Authorization: Basic ${TOKEN}`), '401 unauthorized');
    assert.equal(await get('/api/status', `${BEARER}x`), '401 unauthorized');
    assert.match(await get('/api/status', BEARER), /^200 \{"name":"viaduct","version":"1.2.3"/);
    assert.match(await get('/api/status', `authorization: bearer ${TOKEN}`), /^200 /);
    assert.equal(await get('/api/no-such-path', BEARER), '404 not_found');
    assert.equal(await get('/../package.json'), '404 not_found');
    assert.equal(await get('/%2e%2e/package.json'), '404 not_found');
  }),
);

test(
  'a name that is bound anew to this machine, and every other host, is refused',
  leavesNothing(async () => {
    await using at = await started();
    const withHost = (...lines: string[]) => at.ask(['GET /api/status HTTP/1.1', BEARER, ...lines].join('\n'));
    for (const good of ['localhost:PORT', 'LOCALHOST', '127.0.0.1:PORT', '[::1]:PORT', '127.9.9.9:9000']) {
      assert.match(await withHost(`Host: ${good}`), /^200 /, good);
    }
    const bad = [
      'evil.example',
      'evil.example:PORT',
      'localhost.evil.example',
      '127.0.0.1.nip.io:PORT',
      '10.0.0.1:PORT',
    ];
    for (const host of [...bad, 'localhost:PORT@evil.example', '0.0.0.0:PORT', '', 'localhost, evil.example']) {
      assert.equal(await withHost(`Host: ${host}`), '403 host', host);
    }
    // Two fields: Node keeps the first.
    assert.match(await withHost('Host: localhost:PORT', 'Host: evil.example'), /^40[03]/);
    assert.match(
      await at.ask(`GET http://localhost:PORT/api/status HTTP/1.1\nHost: localhost\n${BEARER}`),
      /^400 target/,
    );
    assert.match(await at.ask(`GET /api/status HTTP/1.0\n${BEARER}`), /^403 host/);
  }),
);

test(
  'other pages are refused, even with the token',
  leavesNothing(async () => {
    await using at = await started();
    const get = (path: string, ...fields: string[]) =>
      at.ask([`GET ${path} HTTP/1.1`, 'Host: localhost:PORT', BEARER, ...fields].join('\n'));
    assert.match(await get('/api/status', 'Origin: http://localhost:PORT', 'Sec-Fetch-Site: same-origin'), /^200 /);
    assert.match(await get('/api/status', 'Sec-Fetch-Site: none', 'Sec-Fetch-Mode: navigate'), /^200 /);
    for (const origin of [
      'null',
      'http://evil.example',
      'http://localhost:1',
      'https://localhost:PORT',
      'http://127.0.0.1:PORT',
    ]) {
      assert.equal(await get('/api/status', `Origin: ${origin}`), '403 origin', origin);
      assert.equal(await get('/', `Origin: ${origin}`), '403 origin', origin);
    }
    for (const site of ['cross-site', 'same-site']) {
      assert.equal(await get('/api/status', `Sec-Fetch-Site: ${site}`), '403 cross_site');
      assert.equal(await get('/healthz', `Sec-Fetch-Site: ${site}`, 'Sec-Fetch-Mode: navigate'), '403 cross_site');
      // A frame, and a link that a person follows.
      assert.equal(
        await get('/', `Sec-Fetch-Site: ${site}`, 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: iframe'),
        '403 cross_site',
      );
      assert.match(
        await get('/', `Sec-Fetch-Site: ${site}`, 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'),
        /^200 /,
      );
    }
    assert.equal(await get('/api/status', 'Sec-Fetch-Mode: no-cors'), '403 no_cors');
    assert.equal(await get('/api/status', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Site: same-origin'), '403 no_cors');
    assert.match(await get('/', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Site: same-origin'), /^200 /);
    assert.equal(await get('/api/status', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'), '400 upgrade');
    assert.equal(await get('/', 'Upgrade: websocket'), '400 upgrade');
    assert.equal(
      await at.ask('OPTIONS /api/status HTTP/1.1\nHost: localhost:PORT\nOrigin: http://evil.example'),
      '403 origin',
    );
  }),
);

test(
  'a body is JSON, and small',
  leavesNothing(async () => {
    await using at = await started();
    const post = (type: string, body: string, length = body.length) =>
      at.ask(
        `POST /api/session HTTP/1.1\nHost: localhost:PORT\nContent-Type: ${type}\nContent-Length: ${length}`,
        body,
      );
    assert.equal(await post('text/plain', '{"code":"x"}'), '415 not_json');
    assert.equal(await post('application/x-www-form-urlencoded', 'code=x'), '415 not_json');
    assert.equal(await post('application/json-patch+json', '{}'), '415 not_json');
    assert.equal(await post('application/json', '{'), '400 bad_request');
    assert.equal(await post('application/json', '', 65_537), '413 too_large');
    assert.equal(await post('application/json; charset=utf-8', '{"code":"x"}'), '401 code');
    assert.equal(await post('application/json', '[]'), '401 code');
    assert.equal(await at.ask(`PUT /api/session HTTP/1.1\nHost: localhost:PORT\n${BEARER}`), '405 method');
  }),
);

test(
  'a link signs a browser in once, within ten minutes, and no line of the log has its code',
  leavesNothing(async () => {
    const clock = new ManualClock();
    await using at = await started({}, clock);
    const signIn = (code: string) => {
      const body = JSON.stringify({ code });
      const head = 'POST /api/session HTTP/1.1\nHost: localhost:PORT\nContent-Type: application/json';
      return at.ask(`${head}\nContent-Length: ${body.length}`, body);
    };
    const codeOf = (link = '') => /^http:\/\/127\.0\.0\.1:\d+\/#code=([\w-]{22})$/.exec(link)?.[1] ?? '';
    const first = codeOf(at.server.link());
    assert.match(await signIn(first), /^200 \{"token":"a-token-of-a-test/);
    assert.equal(await signIn(first), '401 code');
    const second = codeOf(at.server.link());
    await clock.pass(600_000);
    assert.equal(await signIn(second), '401 code');
    assert.equal(await signIn(''), '401 code');
    assert.ok(at.notices.length > 0);
    for (const line of at.notices) for (const secret of [first, second, TOKEN]) assert.ok(!line.includes(secret), line);
  }),
);

test(
  'every response denies framing and says what may be loaded; none has a field of CORS',
  leavesNothing(async () => {
    await using at = await started();
    for (const path of ['/', '/healthz', '/api/status', '/nothing']) {
      const { headers } = await fetch(`http://127.0.0.1:${at.port}${path}`);
      assert.equal(headers.get('x-frame-options'), 'DENY');
      assert.match(
        headers.get('content-security-policy') ?? '',
        /^default-src 'none'; script-src 'self';.*frame-ancestors 'none'$/,
      );
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.deepEqual(
        [...headers.keys()].filter((name) => name.startsWith('access-control') || name === 'set-cookie'),
        [],
      );
    }
  }),
);

test(
  'where others can reach it, metrics need the token too, and the names of this machine are good hosts',
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const { key, cert } = selfSigned();
    const files = { cert: join(folder.path, 'cert.pem'), key: join(folder.path, 'key.pem') };
    writeFileSync(files.cert, cert);
    writeFileSync(files.key, key);
    await using at = await started({ listen: '0.0.0.0:0', tls: files, allow: ['127.0.0.0/8'] });
    const get = (path: string, headers: Record<string, string> = {}, json?: unknown) =>
      new Promise<number>((resolve, reject) => {
        const body = json === undefined ? undefined : JSON.stringify(json);
        const options = {
          method: body === undefined ? 'GET' : 'POST',
          port: at.port,
          host: '127.0.0.1',
          path,
          headers,
          ca: cert,
          agent: false,
          servername: 'localhost',
        };
        tlsRequest(options, (response) => resolve(response.resume().statusCode ?? 0))
          .on('error', reject)
          .end(body);
      });
    assert.equal(await get('/healthz'), 200);
    assert.equal(await get('/metrics'), 401);
    assert.equal(await get('/metrics', { authorization: `Bearer ${TOKEN}` }), 200);
    assert.equal(await get('/api/status', { authorization: `Bearer ${TOKEN}` }), 200);
    assert.equal(await get('/healthz', { host: 'evil.example' }), 403);
    const withToken = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
    assert.equal(await get('/api/mode', withToken, { mode: 'direct' }), 403, 'admin.modes is not true');
  }),
);

test(
  'sources that admin.allow does not list are refused',
  leavesNothing(async () => {
    await using at = await started({ allow: '10.0.0.0/8' });
    assert.equal(await at.ask('GET /healthz HTTP/1.1\nHost: localhost'), '403 source');
  }),
);

test('an admin listener that others can reach needs token and tls; secrets are never repeated', () => {
  const wrong = (admin: ConfigInput['admin']) => {
    try {
      resolveOptions({ admin });
      return '';
    } catch (error) {
      return String(error);
    }
  };
  assert.match(
    wrong({ listen: '0.0.0.0:3129' }),
    /admin\.listen: others can reach 0\.0\.0\.0: add `token: env:NAME` and `tls:/,
  );
  assert.match(
    wrong({ listen: 'router.example:3129', token: 'env:PATH' }),
    /others can reach router\.example: add `tls:/,
  );
  assert.match(wrong({ listen: 'unix:/run/x.sock' }), /addresses alone/);
  const typed = wrong({ token: 'my-secret-token' });
  assert.match(typed, /admin\.token: is where the token comes from/);
  assert.doesNotMatch(typed, /my-secret/);
  assert.match(wrong({ token: 'env:VIADUCT_NO_SUCH_TOKEN' }), /VIADUCT_NO_SUCH_TOKEN is not set/);
});

test(
  'only the default address moves to a free port',
  leavesNothing(async () => {
    const other = createServer();
    const port = await new Promise<number>((resolve) => {
      other.listen(0, '127.0.0.1', () => resolve(Object(other.address()).port));
    });
    // The default address, as if this port were the default one.
    const { admin: usual } = resolveOptions({ admin: true });
    assert.ok(usual?.mayMove);
    const listen = usual.listen.map((one) => (one.kind === 'tcp' ? { ...one, port } : one));
    const options = {
      clock: systemClock,
      observe: () => undefined,
      token: adminToken({ origin: undefined, environment: {}, stateDir: undefined }),
      version: '1',
    };
    {
      await using moved = await AdminServer.open({ ...usual, listen }, options);
      assert.ok(moved.wasMoved);
      const ports = new Set(moved.addresses.map(({ port }) => port));
      assert.equal(ports.size, 1);
      assert.ok(!ports.has(port));
    }
    const { admin } = resolveOptions({ admin: { listen: `127.0.0.1:${port}` } });
    await assert.rejects(AdminServer.open(admin, options), { name: 'ListenError', code: 'EADDRINUSE' });
    await new Promise((resolve) => other.close(resolve));
  }),
);

test(
  'a client that connects and does not begin TLS does not hold up the end',
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const { key, cert } = selfSigned();
    const tls = { cert: folder.write('cert.pem', cert), key: folder.write('key.pem', key) };
    const at = await started({ listen: '0.0.0.0:0', tls });
    using silent = await rawClient(at.port);
    await at[Symbol.asyncDispose]();
    assert.notEqual(await silent.ended(), 'open');
  }),
);

test(
  'a client that connects before the server is there waits for it, and is answered',
  leavesNothing(async () => {
    const { admin } = resolveOptions({ admin: { listen: '127.0.0.1:0' } });
    let waiting = 0;
    const reserved = await reserveAdmin(admin, () => waiting++);
    const [address] = addressesOf(reserved);
    using early = await rawClient(address?.port ?? 0);
    early.send('GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until(() => waiting === 1, 'the client at the reserved address');
    const token = adminToken({ origin: undefined, environment: {}, stateDir: undefined });
    await using server = await AdminServer.open(admin, {
      ...{ clock: systemClock, observe: () => undefined, token, version: '1', reserved },
    });
    assert.deepEqual(server.addresses, [address]);
    await early.until('"starting"');
    using late = await rawClient(address?.port ?? 0);
    late.send('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await late.until('"ok"');
    assert.equal(waiting, 1);
  }),
);

test(
  'addresses that were reserved in vain are free again',
  leavesNothing(async () => {
    const { admin } = resolveOptions({ admin: { listen: '127.0.0.1:0' } });
    const [address] = await reserveAdmin(admin);
    assert.ok(admin !== undefined && address?.listen.kind === 'tcp');
    await assert.rejects(reserveAdmin({ ...admin, listen: [address.listen] }), { code: 'EADDRINUSE' });
    using client = await rawClient(address.listen.port);
    address.release();
    assert.notEqual(await client.ended(), 'open');
    const [again] = await reserveAdmin({ ...admin, listen: [address.listen] });
    again?.release();
  }),
);

test('the token is made once, in a file of its user alone, and every process takes the one that another has made', () => {
  using folder = temporaryFolder();
  const places = { origin: undefined, environment: {}, stateDir: folder.path };
  const [one, other] = [adminToken(places), adminToken(places)];
  const first = one.read();
  assert.match(first, /^[\w-]{43}$/);
  assert.equal(other.read(), first);
  const second = other.rotate();
  assert.notEqual(second, first);
  assert.equal(one.read(), second);
  // Others could have read it: it is a secret no more.
  chmodSync(join(folder.path, 'admin-token'), 0o644);
  assert.notEqual(adminToken(places).read(), second);
});
