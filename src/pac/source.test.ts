import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import { type PlayedSystem, playedSystem } from '../../test/support/system-world.ts';
import { temporaryFolder } from '../../test/support/temporary.ts';
import { systemClock } from '../core/clock.ts';
import type { Resolver } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import { watchBeside } from '../watch/file.ts';
import { type PacSourceOptions, pacSource } from './source.ts';

const pacTo = (proxy: string) => `function FindProxyForURL() { return ${JSON.stringify(proxy)} }`;
const [OFFICE, OTHER] = [pacTo('PROXY office:1'), pacTo('PROXY other:2')];

/** Names of the test lead to loopback; all others are unknown. */
const resolver: Resolver = {
  known: () => undefined,
  resolve: async (host) => {
    if (/^127\./.test(host)) return [host];
    if (/\.(test|corp\.example\.)$/.test(host)) return ['127.0.0.1'];
    throw new ProxyError('dns_failed', host);
  },
};

/** A source, what it says, and a short name for its state. */
function living(pac: string, more: Partial<PacSourceOptions> & { readonly played?: PlayedSystem } = {}) {
  const clock = new ManualClock();
  const notices: string[] = [];
  const asked = playedSystem(more.played);
  const source = pacSource({
    pac,
    whenUnreachable: 'direct',
    clock,
    resolver,
    observe: (event) => event.type === 'notice' && notices.push(`${event.level}: ${event.message}`),
    isSelf: () => false,
    system: asked,
    watchFile: () => ({ [Symbol.dispose]: () => undefined }),
    stateDir: undefined,
    ...more,
  });
  const state = (): string => {
    const { state: now } = source;
    if (now.at === 'unreachable') return `unreachable: ${now.trouble}`;
    if (now.at !== 'script') return now.at;
    const which = now.script.text === OFFICE ? 'office' : now.script.text === OTHER ? 'other' : now.script.text;
    return now.trouble === undefined ? which : `${which}, but ${now.trouble}`;
  };
  const until = async (wanted: string | RegExp) => {
    const isThere = () => (typeof wanted === 'string' ? state() === wanted : wanted.test(state()));
    for (let turn = 0; turn < 600 && !isThere(); turn++) await wait(5);
    assert.ok(isThere(), `${state()} is not ${wanted}`);
  };
  /** Until the attempt that `action` makes happen has ended. */
  const attempt = async (action: () => void) => {
    const before = source.state;
    action();
    for (let turn = 0; turn < 600 && source.state === before; turn++) await wait(5);
    return state();
  };
  return {
    source,
    clock,
    notices,
    asked,
    state,
    until,
    attempt,
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

/** A server of one script, which may fail or never answer. */
async function server(text: string) {
  const asked: IncomingMessage['headers'][] = [];
  const at = { text, status: 200, isSilent: false };
  const web = createServer(({ headers }, answer) => {
    asked.push(headers);
    if (at.isSilent) return;
    const etag = `"${Buffer.from(at.text).toString('base64url')}"`;
    const status = at.status === 200 && headers['if-none-match'] === etag ? 304 : at.status;
    answer.writeHead(status, { ETag: etag }).end(status === 200 ? at.text : '');
  }).listen(0, '127.0.0.1');
  await once(web, 'listening');
  const address = web.address();
  assert.ok(typeof address === 'object' && address !== null);
  const host = `pac.test:${address.port}`;
  return Object.assign(at, {
    asked,
    url: `http://${host}/proxy.pac`,
    async asks(count: number) {
      for (let turn = 0; turn < 600 && asked.length < count; turn++) await wait(5);
      assert.equal(asked.length, count);
    },
    async [Symbol.asyncDispose]() {
      const closed = once(web, 'close');
      web.close();
      web.closeAllConnections();
      await closed;
    },
  });
}

test('without a PAC there is none, and nothing happens', async () => {
  await using at = living('none');
  await at.source.ready;
  at.source.renew();
  assert.deepEqual([at.state(), at.clock.pending, at.asked.ran], ['none', 0, []]);
});

test(
  'fetches a script, says where it comes from, and whether it could have been changed on the way',
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
      trouble: undefined,
    });
    assert.deepEqual(at.notices, [`info: PAC ${web.url}?…: in use`]);
  }),
);

test('reads data: URLs, trusts them, and never looks again', async () => {
  await using at = living(`data:application/x-ns-proxy-autoconfig;base64,${Buffer.from(OFFICE).toString('base64')}`);
  await at.source.ready;
  assert.deepEqual([at.state(), at.clock.pending], ['office', 0]);
  assert.equal(at.source.state.at === 'script' && at.source.state.script.namedBy, 'pac');
  await using broken = living('data:;base64,###');
  await broken.source.ready;
  assert.deepEqual([broken.state(), broken.clock.pending], ['unreachable: it holds no script', 0]);
});

test('asks again after a quarter of an hour, and is told that nothing has changed, or what has', async () => {
  await using web = await server(OFFICE);
  await using at = living(web.url);
  await at.source.ready;
  at.clock.advance(899_999);
  assert.equal(await at.attempt(() => at.clock.advance(1)), 'office');
  await web.asks(2);
  assert.ok(web.asked[1]?.['if-none-match']);
  const read = at.source.state;
  assert.equal(read.at === 'script' && read.script.readMs, 900_000);
  web.text = OTHER;
  at.clock.advance(900_000);
  await at.until('other');
  assert.equal(at.notices.length, 1);
});

test('a server that fails on the same network costs nothing, and is asked more and more rarely', async () => {
  await using web = await server(OFFICE);
  await using at = living(web.url);
  await at.source.ready;
  web.status = 503;
  const failing = 'office, but the server answers with status 503';
  assert.equal(await at.attempt(() => at.clock.advance(900_000)), failing);
  for (const delay of [1, 2, 4, 8, 16, 32, 60, 60]) {
    const count = web.asked.length;
    at.clock.advance(delay * 1000 - 1);
    assert.equal(await at.attempt(() => at.clock.advance(1)), failing);
    await web.asks(count + 1);
  }
  web.status = 200;
  assert.equal(await at.attempt(() => at.clock.advance(60_000)), 'office');
  assert.deepEqual(
    at.notices.map((notice) => notice.replace(/http\S+/, 'URL')),
    [
      'info: PAC URL in use',
      'warn: PAC URL the server answers with status 503; the last good copy stays in use',
      'info: PAC URL in use',
    ],
  );
});

test('a login page is no script', async () => {
  await using web = await server(OFFICE);
  await using at = living(web.url);
  await at.source.ready;
  web.text = '<html><script>login()</script></html>';
  at.clock.advance(900_000);
  await at.until(/^office, but it is a web page and no script/);
  web.text = `${OFFICE.slice(0, -1)}`;
  at.clock.advance(1_000);
  await at.until(/^office, but it cannot be parsed/);
});

test('who waits for the first attempt learns that nobody answered', async () => {
  await using web = await server(OFFICE);
  web.isSilent = true;
  await using at = living(web.url);
  await web.asks(1);
  at.clock.advance(3_000);
  await at.source.ready;
  assert.equal(at.state(), 'unreachable: no answer within 3 seconds');
});

test('on a new network the old script counts until the answer is there, and no longer', async () => {
  await using web = await server(OFFICE);
  await using at = living(web.url);
  await at.source.ready;
  web.isSilent = true;
  at.source.renew();
  await web.asks(2);
  assert.equal(at.state(), 'office');
  at.clock.advance(2_999);
  assert.equal(at.state(), 'office');
  at.clock.advance(1);
  await at.until('unreachable: no answer within 3 seconds');
  web.isSilent = false;
  at.clock.advance(1_000);
  await at.until('office');
});

test('on a new network the last copy counts for those who want it', async () => {
  await using web = await server(OFFICE);
  await using at = living(web.url, { whenUnreachable: 'last-copy' });
  await at.source.ready;
  web.status = 404;
  at.source.renew();
  await at.until('office, but the server answers with status 404');
});

test('changes of the network while one is asked begin anew, and the last one counts', async () => {
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

test('nobody waits longer than three seconds for the first answer, whatever the network does', async () => {
  await using web = await server(OFFICE);
  web.isSilent = true;
  await using at = living(web.url);
  at.clock.advance(2_000);
  at.source.renew();
  at.clock.advance(1_050);
  await at.source.ready;
  assert.equal(at.state(), 'unreachable: it has not been read yet');
});

test('a copy on the disk stands in at the start while the server is silent, and is asked about', async () => {
  await using web = await server(OFFICE);
  using folder = temporaryFolder();
  const kept = { whenUnreachable: 'last-copy', stateDir: folder.path } as const;
  {
    await using at = living(web.url, kept);
    await at.source.ready;
  }
  web.isSilent = true;
  await using later = living(web.url, kept);
  await later.until('office, but it is being fetched, and this is a copy of another day');
  later.clock.advance(3_000);
  await later.source.ready;
  await later.until('office, but no answer within 3 seconds');
  assert.equal(later.source.state.at === 'script' && later.source.state.script.namedBy, 'untrusted-pac');
  web.isSilent = false;
  later.clock.advance(1_000);
  await later.until('office');
  assert.ok(web.asked.at(-1)?.['if-none-match']);
  await using direct = living(web.url.replace('/proxy', '/else'), { stateDir: folder.path });
  web.status = 500;
  await direct.source.ready;
  assert.equal(direct.state(), 'unreachable: the server answers with status 500');
});

test('a folder where no copy can be kept costs the copy and nothing else', async () => {
  await using web = await server(OFFICE);
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, 'pac'), 'a file');
  await using at = living(web.url, { whenUnreachable: 'last-copy', stateDir: folder.path });
  await at.until('office');
  for (let turn = 0; turn < 600 && at.notices.length < 2; turn++) await wait(1);
  assert.match(at.notices.at(-1) ?? '', /^warn: a copy of the PAC cannot be kept: E/);
});

test(
  'a file is read again when it changes; half of it, and nothing at all, leave the last good copy',
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'proxy.pac');
    writeFileSync(path, OFFICE);
    const watchFile: PacSourceOptions['watchFile'] = (file, changed) => watchBeside(file, systemClock, changed);
    const awake = setInterval(() => undefined, 1_000);
    await using at = living(path, { watchFile });
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

test('a file without a watch is read once a minute, and what is no file is said to be none', async () => {
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
  await none.until('unreachable: it is no regular file');
  await using wrong = living('ftp://pac.test/p');
  await wrong.until(/^unreachable: it is neither an http:, https:/);
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
  assert.match(at.notices[0] ?? '', /: in use, as KDE says$/);
  system = playedSystem(kde(`ProxyType=2\nProxy Config Script=${other.url}\n`));
  other.status = 404;
  at.source.renew();
  await at.until('unreachable: the server answers with status 404');
  other.status = 200;
  at.clock.advance(1_000);
  await at.until('other');
  system = playedSystem(kde('ProxyType=0\n'));
  at.source.renew();
  await at.until('none');
  assert.equal(at.clock.pending, 0);
});

test('takes the proxies of the system where it names no script', async () => {
  await using at = living('system', { played: { environment: { http_proxy: 'proxy.test:8080', no_proxy: 'a' } } });
  await at.source.ready;
  const proxies = { source: 'environment', http: 'http://proxy.test:8080', https: undefined, noProxy: ['a'] };
  assert.deepEqual(at.source.state, { at: 'system-proxies', proxies });
});

test('settings that lead to this proxy are for other programs, which is said once', async () => {
  const isSelf = (address: string, port: number) => address === '127.0.0.1' && port === 3128;
  const environment = { http_proxy: 'http://localhost.test:3128', https_proxy: '127.0.0.1:3128' };
  await using at = living('system', { isSelf, played: { environment } });
  await at.source.ready;
  at.source.renew();
  await at.until('none');
  const ignored = 'warn: the proxy that environment names is this proxy itself, and is not used here';
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
  assert.deepEqual(wrapped.notices, [
    'warn: the PAC that KDE names comes from this proxy itself, and is not used here',
  ]);
  assert.equal(wrapped.state(), 'none');
});

test('auto looks on the network where the system names nothing, and trusts what it finds less', async () => {
  await using web = await server(OFFICE);
  const lease = Buffer.from(web.url).toString('hex');
  const files = { '/run/systemd/netif/leases/2': `OPTION_252=${lease}\n` };
  await using at = living('auto', { played: { files } });
  await at.source.ready;
  assert.equal(at.state(), 'office');
  assert.equal(at.source.state.at === 'script' && at.source.state.script.namedBy, 'untrusted-pac');
  assert.match(
    at.notices[0] ?? '',
    /^warn: PAC .* found by WPAD \(DHCP\): anybody on this network could have named it/,
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

test('a place that does not answer is not the last: the next one is asked', async () => {
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
  'ends in the middle of whatever it does, and is not woken again',
  leavesNothing(async () => {
    await using web = await server(OFFICE);
    web.isSilent = true;
    const at = living(web.url);
    await wait(20);
    await at.source[Symbol.asyncDispose]();
    await at.source.ready;
    at.source.renew();
    assert.equal(at.clock.pending, 0);
    const early = living(web.url);
    await early.source[Symbol.asyncDispose]();
    assert.equal(early.clock.pending, 0);
  }),
);

test('says why there is no script, also when every address of its host failed', async () => {
  await using closed = living('http://pac.test:1/', {
    resolver: { ...resolver, resolve: async () => ['127.0.0.1', '::1'] },
  });
  await closed.source.ready;
  assert.match(closed.state(), /^unreachable: .*ECONNREFUSED/);
  await using unknown = living('http://pac.example:1/');
  await unknown.source.ready;
  assert.equal(unknown.state(), 'unreachable: pac.example');
});
