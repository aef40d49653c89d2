import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { selfSigned } from '../../../test/support/certificate.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import { type PlayedSystem, playedSystem } from '../../../test/support/system-world.ts';
import { temporaryFolder } from '../../../test/support/temporary.ts';
import { trusting } from '../../../test/support/trusting.ts';
import { until as poll } from '../../../test/support/until.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Resolver } from '../../contracts/resolver.ts';
import { watchFile } from '../../files/watch-file.ts';
import { systemClock } from '../../util/clock.ts';
import type { PacSource } from '../script.ts';
import { type PacSourceOptions, pacSource } from './source.ts';

const pacTo = (proxy: string) => `function FindProxyForURL() { return ${JSON.stringify(proxy)} }`;
const [OFFICE, OTHER] = [pacTo('PROXY office:1'), pacTo('PROXY other:2')];

/** Names of the test resolve to loopback; all others do not resolve. */
const resolver: Resolver = {
  known: () => undefined,
  resolve: async (host) => {
    if (/^127\./.test(host)) return [host];
    if (/\.(test|corp\.example\.)$/.test(host)) return ['127.0.0.1'];
    throw new ProxyError('dns_failed', host);
  },
};

/** A source, its notices, and a short name for its state. */
function living(pac: string, more: Partial<PacSourceOptions> & { readonly played?: PlayedSystem } = {}) {
  const clock = new ManualClock();
  const notices: string[] = [];
  const system = playedSystem(more.played);
  const source = pacSource({
    pac,
    whenUnreachable: 'direct',
    clock,
    resolver,
    observe: (event) => event.type === 'notice' && notices.push(`${event.level}: ${event.message}`),
    isSelf: () => false,
    secure: trusting(),
    system,
    watchFile: () => ({ [Symbol.dispose]: () => undefined }),
    stateDir: undefined,
    ...more,
  });
  const state = (): string => {
    const { state: now } = source;
    if (now.at === 'unreachable') return `unreachable: ${now.failure}`;
    if (now.at !== 'script') return now.at;
    const which = now.script.text === OFFICE ? 'office' : now.script.text === OTHER ? 'other' : now.script.text;
    return now.failure === undefined ? which : `${which}, but ${now.failure}`;
  };
  const until = async (wanted: string | RegExp) => {
    const isThere = () => (typeof wanted === 'string' ? state() === wanted : wanted.test(state()));
    await poll(isThere, `the source is ${wanted}`).catch(() => assert.fail(`${state()} is not ${wanted}`));
  };
  /** Waits until the attempt that `action` starts has ended. */
  const attempt = async (action: () => void) => {
    const before = source.state;
    action();
    await poll(() => source.state !== before, 'the attempt has ended');
    return state();
  };
  return {
    source,
    clock,
    notices,
    system,
    state,
    until,
    attempt,
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

/** A server of one script, which may fail or stay silent. */
async function server(text: string) {
  const requests: IncomingMessage['headers'][] = [];
  const at = { text, status: 200, isSilent: false };
  const web = createServer(({ headers }, response) => {
    requests.push(headers);
    if (at.isSilent) return;
    const etag = `"${Buffer.from(at.text).toString('base64url')}"`;
    const status = at.status === 200 && headers['if-none-match'] === etag ? 304 : at.status;
    response.writeHead(status, { ETag: etag }).end(status === 200 ? at.text : '');
  }).listen(0, '127.0.0.1');
  await once(web, 'listening');
  const address = web.address();
  assert.ok(typeof address === 'object' && address !== null);
  const host = `pac.test:${address.port}`;
  return Object.assign(at, {
    requests,
    url: `http://${host}/proxy.pac`,
    async received(count: number) {
      await poll(() => requests.length >= count, `${count} requests`);
      assert.equal(requests.length, count);
    },
    async [Symbol.asyncDispose]() {
      const closed = once(web, 'close');
      web.close();
      web.closeAllConnections();
      await closed;
    },
  });
}

test('without a PAC nothing is read', async () => {
  await using at = living('none');
  await at.source.ready;
  at.source.renew();
  assert.deepEqual([at.state(), at.clock.pending, at.system.ran], ['none', 0, []]);
});

test(
  'fetches a script, and reports its location and whether it could have been changed on the way',
  leavesNothing(async () => {
    await using web = await server(OFFICE);
    await using at = living(`${web.url}?token=secret`);
    assert.equal(at.state(), 'unreachable: it has not been read yet');
    await at.source.ready;
    assert.deepEqual(at.source.state, {
      at: 'script',
      script: {
        text: OFFICE,
        source: `${web.url}?…`,
        namedBy: 'untrusted-pac',
        readMs: 0,
      },
      failure: undefined,
    });
    assert.deepEqual(at.notices, [`info: PAC ${web.url}?…: in use`]);
  }),
);

test('reads data: URLs once, and trusts them', async () => {
  await using at = living(`data:application/x-ns-proxy-autoconfig;base64,${Buffer.from(OFFICE).toString('base64')}`);
  await at.source.ready;
  assert.deepEqual([at.state(), at.clock.pending], ['office', 0]);
  assert.equal(at.source.state.at === 'script' && at.source.state.script.namedBy, 'pac');
  await using broken = living('data:;base64,###');
  await broken.source.ready;
  assert.deepEqual([broken.state(), broken.clock.pending], ['unreachable: it is not a valid data: URL', 0]);
});

test('fetches again after a quarter of an hour, with a conditional request', async () => {
  await using web = await server(OFFICE);
  await using at = living(web.url);
  await at.source.ready;
  at.clock.advance(899_999);
  assert.equal(await at.attempt(() => at.clock.advance(1)), 'office');
  await web.received(2);
  assert.ok(web.requests[1]?.['if-none-match']);
  const read = at.source.state;
  assert.equal(read.at === 'script' && read.script.readMs, 900_000);
  web.text = OTHER;
  at.clock.advance(900_000);
  await at.until('other');
  assert.equal(at.notices.length, 1);
});

test('while a server fails on the same network the script stays in use, and retries become rarer', async () => {
  await using web = await server(OFFICE);
  await using at = living(web.url);
  await at.source.ready;
  web.status = 503;
  const failing = 'office, but the server responds with status 503';
  assert.equal(await at.attempt(() => at.clock.advance(900_000)), failing);
  for (const delay of [1, 2, 4, 8, 16, 32, 60, 60]) {
    const count = web.requests.length;
    at.clock.advance(delay * 1000 - 1);
    assert.equal(await at.attempt(() => at.clock.advance(1)), failing);
    await web.received(count + 1);
  }
  web.status = 200;
  assert.equal(await at.attempt(() => at.clock.advance(60_000)), 'office');
  assert.deepEqual(
    at.notices.map((notice) => notice.replace(/http\S+/, 'URL')),
    [
      'info: PAC URL in use',
      'warn: PAC URL the server responds with status 503; the last good copy stays in use',
      'info: PAC URL in use',
    ],
  );
});

test('a login page is not taken for a script', async () => {
  await using web = await server(OFFICE);
  await using at = living(web.url);
  await at.source.ready;
  web.text = '<html><script>login()</script></html>';
  at.clock.advance(900_000);
  await at.until(/^office, but it is a web page, not a script/);
  web.text = `${OFFICE.slice(0, -1)}`;
  at.clock.advance(1_000);
  await at.until(/^office, but it cannot be parsed/);
});

test('ready resolves when the first attempt fails, and the state says why', async () => {
  await using web = await server(OFFICE);
  web.isSilent = true;
  await using at = living(web.url);
  await web.received(1);
  at.clock.advance(3_000);
  await at.source.ready;
  assert.equal(at.state(), 'unreachable: no answer within 3 seconds');
});

test('on a new network the old script is used until the first attempt there has ended', async () => {
  await using web = await server(OFFICE);
  await using at = living(web.url);
  await at.source.ready;
  web.isSilent = true;
  at.source.renew();
  await web.received(2);
  assert.equal(at.state(), 'office');
  at.clock.advance(2_999);
  assert.equal(at.state(), 'office');
  at.clock.advance(1);
  await at.until('unreachable: no answer within 3 seconds');
  web.isSilent = false;
  at.clock.advance(1_000);
  await at.until('office');
});

test('on a new network the last copy stays in use with whenUnreachable: last-copy', async () => {
  await using web = await server(OFFICE);
  await using at = living(web.url, { whenUnreachable: 'last-copy' });
  await at.source.ready;
  web.status = 404;
  at.source.renew();
  await at.until('office, but the server responds with status 404');
});

test('each change of the network replaces the attempt, and only the last one counts', async () => {
  await using web = await server(OFFICE);
  await using at = living(web.url);
  web.isSilent = true;
  for (let turn = 0; turn < 5; turn++) at.source.renew();
  web.isSilent = false;
  web.text = OTHER;
  at.source.renew();
  await at.until('other');
  assert.equal(at.clock.pending, 1);
  at.clock.advance(10_000);
  assert.equal(at.state(), 'other');
});

test('ready resolves after three seconds, however often the network changes', async () => {
  await using web = await server(OFFICE);
  web.isSilent = true;
  await using at = living(web.url);
  at.clock.advance(2_000);
  at.source.renew();
  at.clock.advance(1_050);
  await at.source.ready;
  assert.equal(at.state(), 'unreachable: it has not been read yet');
});

test('at the start a cached script is used while the server is silent, and is revalidated', async () => {
  await using web = await server(OFFICE);
  using folder = temporaryFolder();
  const kept = { whenUnreachable: 'last-copy', stateDir: folder.path } as const;
  {
    await using at = living(web.url, kept);
    await at.source.ready;
  }
  web.isSilent = true;
  await using later = living(web.url, kept);
  await later.until('office, but it is being fetched, and this is a cached copy');
  later.clock.advance(3_000);
  await later.source.ready;
  await later.until('office, but no answer within 3 seconds');
  assert.equal(later.source.state.at === 'script' && later.source.state.script.namedBy, 'untrusted-pac');
  web.isSilent = false;
  later.clock.advance(1_000);
  await later.until('office');
  assert.ok(web.requests.at(-1)?.['if-none-match']);
  await using direct = living(web.url.replace('/proxy', '/else'), { stateDir: folder.path });
  web.status = 500;
  await direct.source.ready;
  assert.equal(direct.state(), 'unreachable: the server responds with status 500');
});

test('a script that cannot be cached is used all the same', async () => {
  await using web = await server(OFFICE);
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'pac'), 'a file');
  await using at = living(web.url, { whenUnreachable: 'last-copy', stateDir: folder.path });
  await at.until('office');
  await poll(() => at.notices.length >= 2, 'two notices');
  assert.match(at.notices.at(-1) ?? '', /^warn: the PAC cannot be cached for the next start: E/);
});

test(
  'a file is read again when it changes; while it is truncated or gone, the last good copy stays in use',
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'proxy.pac');
    writeFileSync(path, OFFICE);
    const watch: PacSourceOptions['watchFile'] = (file, changed) => watchFile(file, systemClock, changed);
    const awake = setInterval(() => undefined, 1_000);
    await using at = living(path, { watchFile: watch });
    await at.source.ready;
    assert.equal(at.state(), 'office');
    assert.equal(at.source.state.at === 'script' && at.source.state.script.namedBy, 'pac');
    writeFileSync(path, OTHER.slice(0, 30));
    await at.until(/^office, but it cannot be parsed/);
    writeFileSync(`${path}.new`, OTHER);
    renameSync(`${path}.new`, path);
    await at.until('other');
    rmSync(path);
    await at.until(/^other, but there is no such file/);
    at.source.renew();
    await at.until(/^other, but there is no such file/);
    writeFileSync(path, OFFICE);
    await at.until('office');
    clearInterval(awake);
  }),
);

test('a file without a watch is read once a minute, and an unsupported URL is reported', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'later', 'proxy.pac');
  const watchFile = () => {
    throw new Error('no watch left');
  };
  await using at = living(`file://${path}`, { watchFile });
  await at.until('unreachable: there is no such file');
  mkdirSync(join(folder.path, 'later'));
  writeFileSync(path, OFFICE);
  at.clock.advance(1_000);
  await at.until('office');
  writeFileSync(path, OTHER);
  at.clock.advance(60_000);
  await at.until('other');
  await using none = living('/dev/zero');
  await none.until('unreachable: it is not a regular file');
  await using wrong = living('ftp://pac.test/p');
  await wrong.until(/^unreachable: it is not an http:, https:/);
});

const KDE = { XDG_CURRENT_DESKTOP: 'KDE' };
const kde = (lines: string): PlayedSystem => ({
  environment: KDE,
  files: { '/home/me/.config/kioslaverc': `[Proxy Settings]\n${lines}` },
});

test('follows the setting of the system to a script, and to another one on a new network', async () => {
  await using office = await server(OFFICE);
  await using other = await server(OTHER);
  const files = { '/home/me/.config/kioslaverc': `[Proxy Settings]\nProxyType=2\nProxy Config Script=${office.url}\n` };
  let system = playedSystem({ environment: KDE, files });
  const world = { ...system, read: (path: string) => system.read(path) };
  await using at = living('system', { system: world, whenUnreachable: 'last-copy' });
  await at.source.ready;
  assert.equal(at.state(), 'office');
  assert.match(at.notices[0] ?? '', /: in use, named by KDE$/);
  system = playedSystem(kde(`ProxyType=2\nProxy Config Script=${other.url}\n`));
  other.status = 404;
  at.source.renew();
  await at.until('unreachable: the server responds with status 404');
  other.status = 200;
  at.clock.advance(1_000);
  await at.until('other');
  system = playedSystem(kde('ProxyType=0\n'));
  at.source.renew();
  await at.until('none');
  assert.equal(at.clock.pending, 0);
});

test('uses the proxies of the system where it names no script', async () => {
  await using at = living('system', { played: { environment: { http_proxy: 'proxy.test:8080', no_proxy: 'a' } } });
  await at.source.ready;
  const proxies = { source: 'environment', http: 'http://proxy.test:8080', https: undefined, noProxy: ['a'] };
  assert.deepEqual(at.source.state, { at: 'system-proxies', proxies });
});

test('settings that lead to this proxy itself are ignored, with one notice', async () => {
  const isSelf = (address: string, port: number) => address === '127.0.0.1' && port === 3128;
  const environment = { http_proxy: 'http://localhost.test:3128', https_proxy: '127.0.0.1:3128' };
  await using at = living('system', { isSelf, played: { environment } });
  await at.source.ready;
  at.source.renew();
  await at.until('none');
  const ignored = 'warn: the proxy that environment names is this proxy itself, and is not used as an upstream proxy';
  assert.deepEqual(at.notices, [ignored]);
  await using half = living('system', { isSelf, played: { environment: { ...environment, https_proxy: 'b.test:1' } } });
  await half.source.ready;
  const { state } = half.source;
  assert.deepEqual(state.at === 'system-proxies' && [state.proxies.http, state.proxies.https], [
    undefined,
    'http://b.test:1',
  ]);
  await using wrapped = living('system', {
    isSelf,
    played: kde('ProxyType=2\nProxy Config Script=http://127.0.0.1:3128/proxy.pac\n'),
  });
  await wrapped.source.ready;
  assert.deepEqual(wrapped.notices, ['warn: the PAC that KDE names comes from this proxy itself, and is not used']);
  assert.equal(wrapped.state(), 'none');
});

test('auto uses WPAD where the system names nothing, and trusts its script less', async () => {
  await using web = await server(OFFICE);
  const lease = Buffer.from(web.url).toString('hex');
  const files = { '/run/systemd/netif/leases/2': `OPTION_252=${lease}\n` };
  await using at = living('auto', { played: { files } });
  await at.source.ready;
  assert.equal(at.state(), 'office');
  assert.equal(at.source.state.at === 'script' && at.source.state.script.namedBy, 'untrusted-pac');
  assert.match(
    at.notices[0] ?? '',
    /^warn: PAC .* found by WPAD \(DHCP\): any machine on this network could have named it/,
  );
  await using system = living('system', { played: { files } });
  await system.source.ready;
  assert.equal(system.state(), 'none');
  await using set = living('auto', { played: { files, environment: { http_proxy: 'proxy.test:1' } } });
  await set.source.ready;
  assert.equal(set.state(), 'system-proxies');
  await using nowhere = living('auto');
  await nowhere.source.ready;
  assert.equal(nowhere.state(), 'none');
});

test('when a location does not answer, the next one is tried', async () => {
  await using web = await server(OFFICE);
  const lease = (url: string) => `OPTION_252=${Buffer.from(url).toString('hex')}\n`;
  const files = {
    '/run/systemd/netif/leases/2': lease('http://pac.test:1/'),
    '/run/systemd/netif/leases/3': lease(web.url),
  };
  await using at = living('auto', { played: { files } });
  await at.source.ready;
  assert.equal(at.state(), 'office');
});

test(
  'dispose ends an attempt at any step, and no timer runs afterwards',
  leavesNothing(async () => {
    await using web = await server(OFFICE);
    web.isSilent = true;
    const at = living(web.url);
    await web.received(1);
    await at.source[Symbol.asyncDispose]();
    await at.source.ready;
    at.source.renew();
    assert.equal(at.clock.pending, 0);
    const early = living(web.url);
    await early.source[Symbol.asyncDispose]();
    assert.equal(early.clock.pending, 0);
  }),
);

test('reports why there is no script, also when every address of its host failed', async () => {
  await using closed = living('http://pac.test:1/', {
    resolver: { ...resolver, resolve: async () => ['127.0.0.1', '::1'] },
  });
  await closed.source.ready;
  assert.match(closed.state(), /^unreachable: .*ECONNREFUSED/);
  await using unknown = living('http://pac.example:1/');
  await unknown.source.ready;
  assert.equal(unknown.state(), 'unreachable: pac.example');
});

const certificate = selfSigned(['pac.test']);

/** A server of one script over TLS, which answers conditional requests with 304. */
async function tlsServer(text: string) {
  const statuses: number[] = [];
  const web = createTlsServer(certificate, ({ headers }, response) => {
    const status = headers['if-none-match'] === '"1"' ? 304 : 200;
    statuses.push(status);
    response.writeHead(status, { ETag: '"1"' }).end(status === 200 ? text : '');
  }).listen(0, '127.0.0.1');
  await once(web, 'listening');
  return {
    statuses,
    url: `https://pac.test:${(web.address() as AddressInfo).port}/proxy.pac`,
    async [Symbol.asyncDispose]() {
      const closed = once(web, 'close');
      web.close();
      web.closeAllConnections();
      await closed;
    },
  };
}
const namedBy = ({ source: { state } }: { readonly source: PacSource }) =>
  state.at === 'script' ? state.script.namedBy : state.at;
const secure = trusting(certificate.cert);

test('on every network the trust follows the source of the location, also where the script is the same', async () => {
  await using web = await tlsServer(OFFICE);
  const set = `[Proxy Settings]\nProxyType=2\nProxy Config Script=${web.url}\n`;
  const lease = `OPTION_252=${Buffer.from(web.url).toString('hex')}\n`;
  const bySetting = { environment: KDE, files: { '/home/me/.config/kioslaverc': set } };
  const byWpad = { files: { '/run/systemd/netif/leases/2': lease } };
  let system = playedSystem(bySetting);
  const world = {
    ...system,
    get environment() {
      return system.environment;
    },
    read: (path: string) => system.read(path),
    list: (folder: string) => system.list(folder),
  };
  await using at = living('auto', { system: world, secure });
  await at.source.ready;
  const trust = [namedBy(at)];
  for (const next of [byWpad, bySetting]) {
    system = playedSystem(next);
    const before = web.statuses.length;
    await at.attempt(() => at.source.renew());
    assert.equal(web.statuses.length, before + 1);
    trust.push(namedBy(at));
  }
  assert.deepEqual(trust, ['pac', 'untrusted-pac', 'pac']);
  assert.deepEqual(web.statuses, [200, 304, 304]);
});

test('a cached script is trusted like its location today, and not used where others could write it', async () => {
  using folder = temporaryFolder();
  const kept = { whenUnreachable: 'last-copy', stateDir: folder.path, secure } as const;
  let url: string;
  {
    await using web = await tlsServer(OFFICE);
    ({ url } = web);
    await using at = living(url, kept);
    await at.source.ready;
    assert.equal(namedBy(at), 'pac');
  }
  const unreachable = { ...kept, secure: async () => Promise.reject(new Error('no TLS')) };
  await using again = living(url, unreachable);
  await again.source.ready;
  assert.deepEqual([namedBy(again), again.state().split(',')[0]], ['pac', 'office']);
  const files = { '/run/systemd/netif/leases/2': `OPTION_252=${Buffer.from(url).toString('hex')}\n` };
  await using byWpad = living('auto', { ...unreachable, played: { files } });
  await byWpad.source.ready;
  assert.equal(namedBy(byWpad), 'untrusted-pac');
  chmodSync(join(folder.path, 'pac'), 0o777);
  await using loose = living(url, unreachable);
  await loose.source.ready;
  assert.match(loose.state(), /^unreachable: /);
  assert.match(
    loose.notices[0] ?? '',
    /^warn: the cached PAC is not used: .*\/pac can be written by others; run chmod go-w /,
  );
});
