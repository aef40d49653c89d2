/** Upstream proxies of other makers: Squid in the clear and over TLS, Dante, and chains of them; curl is the client. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { connectVia, fetchVia, type RouteChoice, startProxy } from '../../src/index.ts';
import { RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { missing } from '../support/requires.ts';
import { type RunResult, run } from '../support/run.ts';
import { FAR_NAME, LAB_USERS } from './daemon.ts';
import { type Dante, FORBIDDEN_PORT, startDante } from './dante.ts';
import { type Nginx, startNginx } from './nginx.ts';
import { type Squid, startSquid, WRONG_NAME } from './squid.ts';

const skip =
  missing('squid-openssl', 'dante-server', 'nginx', 'curl', 'openssl', 'util-linux') ||
  (process.getuid?.() !== 0 && 'only root may mount accounts for Dante');

let squid: Squid;
let dante: Dante;
let danteUsers: Dante;
let nginx: Nginx;
before(async () => {
  if (skip !== false) return;
  [squid, dante, danteUsers, nginx] = await Promise.all([
    startSquid(),
    startDante('none'),
    startDante('username'),
    startNginx(),
  ]);
});
after(async () => {
  if (skip !== false) return;
  for (const server of [squid, dante, danteUsers, nginx]) await server[Symbol.asyncDispose]();
});

/** The login of LAB_USERS[at], as a URL has it. */
function login(at: number): string {
  const [user = '', password = ''] = LAB_USERS[at] ?? [];
  return `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
}

/** A proxy that trusts the authority of Squid's certificates, whose every request takes the same route. */
const proxyBy = (route: RouteChoice) =>
  startProxy({
    route: () => [route],
    upstreams: [
      { host: 'localhost', ca: squid.ca },
      { host: '127.0.0.1', ca: squid.ca, serverName: WRONG_NAME },
    ],
  });

/** What curl gets by that route: an https URL through CONNECT, and an http one too with `-p`. */
async function curl(route: RouteChoice, url: string, ...words: readonly string[]): Promise<RunResult> {
  await using proxy = await proxyBy(route);
  return await run('curl', ['-sS', '--cacert', nginx.ca, '-x', proxy.url, ...words, url]);
}

const ROUTES: readonly (readonly [what: string, route: () => RouteChoice])[] = [
  ['Squid', () => squid.plain],
  ['Squid that requires a user', () => `http://${login(0)}@127.0.0.1:${squid.basicPort}`],
  ['Squid that requires a user whose password is not ASCII', () => `http://${login(1)}@127.0.0.1:${squid.basicPort}`],
  ['Squid over TLS', () => squid.tls],
  ['Squid over TLS, with another name to expect', () => squid.wrongName.replace('localhost', '127.0.0.1')],
  ['Dante, SOCKS5', () => `socks5://127.0.0.1:${dante.port}`],
  ['Dante, SOCKS5 with a user', () => `socks5://${login(0)}@127.0.0.1:${danteUsers.port}`],
  ['Dante, SOCKS5 with a user whose password is not ASCII', () => `socks5h://${login(1)}@127.0.0.1:${danteUsers.port}`],
  ['Squid over TLS, then Dante', () => [squid.tls, `socks5://127.0.0.1:${dante.port}`]],
  ['Dante, then Squid over TLS', () => [`socks5://127.0.0.1:${dante.port}`, squid.tls]],
  ['TLS inside TLS', () => [squid.tls, squid.tls]],
  ['three hops', () => [squid.tls, `socks5://${login(0)}@127.0.0.1:${danteUsers.port}`, squid.plain]],
];
for (const [what, route] of ROUTES) {
  test(`${what}: pages and tunnels, of names that only the last proxy resolves`, { skip }, async () => {
    const { port, tlsPort } = nginx;
    assert.equal((await curl(route(), `http://${FAR_NAME}:${port}/`)).out, 'origin-ok\n');
    assert.equal((await curl(route(), `http://127.0.0.1:${port}/`, '-p')).out, 'origin-ok\n');
    assert.equal((await curl(route(), `https://${FAR_NAME}:${tlsPort}/`)).out, 'origin-ok\n');
    const seen = await curl(route(), `http://${FAR_NAME}:${port}/seen`);
    assert.equal(seen.out, `proxy-authorization=[] host=[${FAR_NAME}:${port}]\n`);
  });

  test(`${what}: a file goes up and comes down unchanged`, { skip }, async () => {
    const bytes = randomBytes(3_000_001);
    const file = `${nginx.daemon.folder.path}/upload`;
    writeFileSync(file, bytes);
    await using proxy = await proxyBy(route());
    const url = `https://localhost:${nginx.tlsPort}/up/file`;
    const common = ['-sS', '--cacert', nginx.ca, '-x', proxy.url];
    const up = await run('curl', [...common, '-T', file, '-o', '/dev/null', '-w', '%{http_code}', url]);
    assert.match(up.out, /^20[14]$/, up.err);
    const back = `${file}.back`;
    const down = await run('curl', [...common, '-o', back, url]);
    assert.equal(down.code, 0, down.err);
    const hash = (data: Buffer) => createHash('sha1').update(data).digest('hex');
    assert.equal(hash(readFileSync(back)), hash(bytes));
  });

  test(`${what}: the library takes the same route`, { skip }, async () => {
    const here = route();
    const ca = readFileSync(squid.ca);
    const isRenamed = typeof here === 'string' && here.startsWith('https://127');
    await using fetch = fetchVia(here, { proxyTls: { ca, ...(isRenamed && { servername: WRONG_NAME }) } });
    const response = await fetch(`http://${FAR_NAME}:${nginx.port}/`);
    assert.equal(await response.text(), 'origin-ok\n');
  });
}

test('Dante, SOCKS4: addresses, and names that this machine resolves', { skip }, async () => {
  const route = `socks4://127.0.0.1:${dante.port}`;
  assert.equal((await curl(route, `http://127.0.0.1:${nginx.port}/`)).out, 'origin-ok\n');
  assert.equal((await curl(route, `https://localhost:${nginx.tlsPort}/`)).out, 'origin-ok\n');
});

interface Refused {
  readonly what: string;
  readonly route: () => RouteChoice;
  readonly to: () => string;
  readonly status: string;
  readonly page: RegExp;
}
const site = () => `127.0.0.1:${nginx.port}`;
const REFUSED: readonly Refused[] = [
  {
    what: 'a certificate for another name',
    route: () => squid.wrongName,
    to: site,
    status: '502',
    page: /certificate of the upstream cannot be trusted\. The certificate of https:\/\/localhost:\d+ is for another name\./,
  },
  {
    what: 'a proxy without TLS where TLS was meant',
    route: () => squid.plain.replace('http:', 'https:'),
    to: site,
    status: '502',
    page: /TLS handshake with the upstream failed\. If https:\S+ does not use TLS on that port/,
  },
  {
    what: 'Squid that requires a user',
    route: () => `http://127.0.0.1:${squid.basicPort}`,
    to: site,
    status: '502',
    page: /did not accept our credentials\. http:\S+ requires authentication \(/,
  },
  {
    what: 'Squid without such a user',
    route: () => `http://unknown:wrong@127.0.0.1:${squid.basicPort}`,
    to: site,
    status: '502',
    page: /http:\S+ (?:did not accept|has rejected) the /,
  },
  {
    what: 'Squid whose rules forbid the target',
    route: () => squid.plain,
    to: () => '192.0.2.1:443',
    status: '502',
    page: /refused to connect\. It responded with 403\./,
  },
  {
    what: 'Squid that finds the port closed',
    route: () => squid.plain,
    to: () => '127.0.0.1:1',
    status: '502',
    page: /could not reach the destination\. It responded with 503\./,
  },
  {
    what: 'Dante that wants a user',
    route: () => `socks5://127.0.0.1:${danteUsers.port}`,
    to: site,
    status: '502',
    page: /socks5:\S+ requires a user name and password; write them into its URL\./,
  },
  {
    what: 'Dante without such a user',
    route: () => `socks5://viaduct-alice:wrong@127.0.0.1:${danteUsers.port}`,
    to: site,
    status: '502',
    page: /socks5:\S+ did not accept the user name and password\./,
  },
  {
    what: 'Dante whose rules forbid the port',
    route: () => `socks5://127.0.0.1:${dante.port}`,
    to: () => `127.0.0.1:${FORBIDDEN_PORT}`,
    status: '502',
    page: /refused to connect\. It responded with "not allowed by its rules" \(2\)\./,
  },
  {
    what: 'Dante that finds the port closed',
    route: () => `socks5://127.0.0.1:${dante.port}`,
    to: () => '127.0.0.1:1',
    status: '502',
    page: /could not reach the destination\. It responded with "connection refused" \(5\)\./,
  },
  {
    what: 'Dante that does not know the name',
    route: () => `socks5://127.0.0.1:${dante.port}`,
    to: () => 'nowhere.lab.test:443',
    status: '502',
    page: /could not reach the destination\. It responded with "host unreachable" \(4\)\./,
  },
  {
    what: 'Dante, SOCKS4, that finds the port closed',
    route: () => `socks4://127.0.0.1:${dante.port}`,
    to: () => '127.0.0.1:1',
    status: '502',
    page: /refused to connect\. It responded with "rejected or failed" \(91\)\./,
  },
  {
    what: 'a chain whose second proxy is dead',
    route: () => [squid.plain, 'socks5://127.0.0.1:1'],
    to: site,
    status: '502',
    page: /socks5:\/\/127\.0\.0\.1:1 could not be reached through http:\/\/127/,
  },
];
for (const { what, route, to, status, page } of REFUSED) {
  test(`${what}: the response says so`, { skip }, async () => {
    await using proxy = await proxyBy(route());
    const refusal = await run('curl', ['-sS', '-p', '-x', proxy.url, `http://${to()}/`, '--include']);
    assert.match(refusal.err, new RegExp(`response ${status}`));
    const text = await connectResponse(proxy.url, to());
    assert.match(text, page);
    assert.doesNotMatch(text, /wrong/);
  });
}

/** The page of a refused CONNECT, which curl does not show. */
async function connectResponse(proxy: string, to: string): Promise<string> {
  using client = await rawClient(Number(new URL(proxy).port));
  client.send(connectTo(to));
  await client.ended();
  return client.text;
}

test('the next way is tried behind a dead proxy, and not behind one that cannot reach the target', {
  skip,
}, async () => {
  const { port } = nginx;
  await using proxy = await startProxy({ route: () => ['http://127.0.0.1:1', 'socks5://127.0.0.1:1', squid.plain] });
  const page = await run('curl', ['-sS', '-p', '-x', proxy.url, `http://127.0.0.1:${port}/`]);
  assert.equal(page.out, 'origin-ok\n', page.err);
  await using direct = await startProxy({ route: () => [squid.plain, 'direct'] });
  await assert.rejects(connectVia(direct.url, '127.0.0.1:1'), { clientDetail: 'It responded with 502.' });
});

test('our bytes to a SOCKS proxy are those of curl', { skip }, async () => {
  const greeting = Buffer.from([5, 0]);
  for (const [ours, theirs] of [
    ['socks4a', 'socks4a'],
    ['socks5', 'socks5h'],
  ] as const) {
    await using proxy = await RawOrigin.listen((peer) => {
      if (ours === 'socks5') peer.send(greeting);
    });
    const isDone = { socks4a: 22, socks5: 22 }[ours];
    const client = run('curl', ['-sS', '-x', `${theirs}://${proxy.authority}`, `http://${FAR_NAME}:80/`]);
    const curls = await proxy.connection(0);
    await curls.when(({ bytesReceived }) => bytesReceived >= isDone);
    curls.end();
    await client;
    const opening = connectVia(`${ours}://${proxy.authority}`, `${FAR_NAME}:80`);
    const mine = await proxy.connection(1);
    await mine.when(({ bytesReceived }) => bytesReceived >= isDone);
    mine.end();
    await assert.rejects(opening);
    // curl offers GSSAPI as well where it can.
    const asks = (bytes: Buffer) => bytes.toString('hex').replace(/^05(?:0100|020001)/, '0501xx');
    assert.equal(asks(mine.received), asks(curls.received));
  }
});
