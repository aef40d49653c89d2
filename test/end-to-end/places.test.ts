/** No client can take the slots of all connections; a client that may not use the proxy gets none. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { resolveOptions } from '../../src/config/schema.ts';
import { type Running, viaduct } from '../support/cli.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { temporaryFolder } from '../support/temporary.ts';

/** With 1,024 files there are 192 places, and 168 of them for one address. */
const FILES = 1024;
const [PLACES, SHARE] = [192, 168];

const notLinux = process.platform !== 'linux' && 'the whole of 127.0.0.0/8 is this machine on Linux alone';

const crowd = (port: number, from: string, count: number, first = ''): Promise<RawPeer[]> =>
  Promise.all(Array.from({ length: count }, async () => (await rawClient(port, '127.0.0.1', from)).send(first)));

const isRefused = ({ text }: RawPeer): boolean => text.startsWith('HTTP/1.1 503 ');
const isTunnel = ({ text }: RawPeer): boolean => text.startsWith('HTTP/1.1 200 ');

/** Waits until the lines about connections that were turned away speak of so many in all. */
async function turnedAwayInAll(running: Running, count: number): Promise<void> {
  for (let lines = 1, sum = 0; sum !== count; lines++) {
    const err = await running.says(new RegExp(`(?:turned away[^]*){${lines}}`));
    sum = [...err.matchAll(/ (\d+) connections? turned away: /g)].reduce((all, [, some]) => all + Number(some), 0);
    assert.ok(sum <= count, err);
  }
}

async function opensTunnel(port: number, from: string, origin: RawOrigin): Promise<RawPeer> {
  const client = await rawClient(port, '127.0.0.1', from);
  client.send(connectTo(origin.authority));
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 200 /, from);
  return client;
}

for (const relay of ['auto', 'portable'] as const) {
  const words = ['-l', '127.0.0.1', '-p', '0', '--log', 'off', '--relay', relay];

  test(`${relay}: one address that takes all it can leaves an eighth for others, as the start line says`, {
    skip: notLinux,
  }, async () => {
    await using origin = await RawOrigin.listen(echo);
    using running = viaduct(words, {}, FILES);
    const port = await running.port();
    assert.match(
      await running.says('files may be open'),
      new RegExp(
        `only ${FILES} files may be open, enough for ${PLACES} connections of clients, ${SHARE} of one address`,
      ),
    );
    const flood = await crowd(port, '127.0.0.2', PLACES + 8, connectTo(origin.authority));
    await Promise.all(flood.map((client) => client.until('\r\n\r\n')));
    assert.equal(flood.filter(isTunnel).length, SHARE);
    assert.equal(flood.filter(isRefused).length, PLACES + 8 - SHARE);
    await turnedAwayInAll(running, PLACES + 8 - SHARE);
    const others = await Promise.all(
      Array.from({ length: PLACES - SHARE }, (_, at) => opensTunnel(port, `127.0.0.${3 + at}`, origin)),
    );
    // Tunnels have all slots now: none of them is closed for another one.
    const [late] = await crowd(port, '127.0.0.99', 1);
    assert.equal(await late?.ended(), 'fin');
    assert.ok(late !== undefined && isRefused(late));
    assert.ok([...flood.filter(isTunnel), ...others].every(({ ending }) => ending === 'open'));
    for (const client of [...flood, ...others, late]) client[Symbol.dispose]();
  });

  test(`${relay}: when all slots are taken, idle connections of the address that has most are closed`, {
    skip: notLinux,
  }, async () => {
    await using origin = await RawOrigin.listen(echo);
    using running = viaduct(words, {}, FILES);
    const port = await running.port();
    // Half a head is no request: it must not hold a place either.
    const silent = await crowd(port, '127.0.0.2', SHARE / 2);
    const trickling = await crowd(port, '127.0.0.2', SHARE / 2, 'CONNECT somewh');
    const small = await crowd(port, '127.0.0.3', PLACES - SHARE);
    const others = await Promise.all(
      Array.from({ length: 40 }, (_, at) => opensTunnel(port, `127.0.0.${10 + at}`, origin)),
    );
    const closed = () => [...silent, ...trickling].filter(({ ending }) => ending !== 'open').length;
    await silent[0]?.ended();
    for (const client of silent.slice(0, others.length)) await client.ended();
    assert.equal(closed(), others.length);
    assert.ok(
      small.every(({ ending }) => ending === 'open'),
      'the one that has fewer loses none',
    );
    for (const client of [...silent, ...trickling, ...small, ...others]) client[Symbol.dispose]();
  });

  test(`${relay}: of a storm of clients as many are served as there are slots, and all others get 503`, {
    skip: notLinux,
  }, async () => {
    await using origin = await RawOrigin.listen(echo);
    using running = viaduct(words, {}, FILES);
    const port = await running.port();
    const storm = await Promise.all(
      Array.from({ length: 16 }, (_, at) => crowd(port, `127.0.0.${2 + at}`, 128, connectTo(origin.authority))),
    );
    const clients = storm.flat();
    await Promise.all(clients.map((client) => client.until('\r\n\r\n')));
    assert.deepEqual(
      [clients.filter(isTunnel).length, clients.filter(isRefused).length],
      [PLACES, clients.length - PLACES],
    );
    for (const client of clients) client[Symbol.dispose]();
  });
}

test('of several processes each has as many slots, and the start line says so', { skip: notLinux }, async () => {
  using running = viaduct(['-l', '127.0.0.1:0', '--log', 'off', '--workers', '2'], {}, FILES);
  assert.match(
    await running.says(/listening on .*\n/),
    new RegExp(`enough for ${PLACES} connections of clients in each of 2 processes, ${SHARE} of one address;`),
  );
});

test('the listeners of a proxy share one number of slots', { skip: notLinux }, async () => {
  await using origin = await RawOrigin.listen(echo);
  using running = viaduct(['-l', '127.0.0.1:0', '-l', '127.0.0.4:0', '--log', 'off'], {}, FILES);
  const said = await running.says(/(?:listening on [^\n]*\n){2}/);
  const ports = [...said.matchAll(/listening on http:\/\/127\.0\.0\.([14]):(\d+)/g)].map(([, , port]) => Number(port));
  const [one = 0, two = 0] = ports;
  assert.equal(ports.length, 2);
  // Tunnels, since a connection that the kernel has completed need not be accepted by the proxy yet.
  const first = await crowd(one, '127.0.0.2', SHARE, connectTo(origin.authority));
  await Promise.all(first.map((client) => client.until('\r\n\r\n')));
  const second = await Promise.all(Array.from({ length: 8 }, () => rawClient(two, '127.0.0.4', '127.0.0.2')));
  for (const client of second) assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 503 /);
  for (const client of [...first, ...second]) client[Symbol.dispose]();
});

test(
  'a client whose address is not allowed is refused when it connects, before it has sent anything',
  { skip: notLinux },
  leavesNothing(async () => {
    await using proxy = await ProxyUnderTest.start({ clients: { allow: ['127.0.0.3'] } });
    using stranger = await rawClient(proxy.port, '127.0.0.1', '127.0.0.2');
    assert.equal(await stranger.ended(), 'fin');
    assert.match(stranger.text, /^HTTP\/1\.1 403 Forbidden\r\n/);
    assert.match(stranger.text, /The rule is called "clients\.allow"\./);
    const { client, status, failure } = await proxy.record();
    assert.deepEqual([client.address, status, failure], ['127.0.0.2', 403, 'denied']);
    using page = await rawClient(proxy.port, '127.0.0.1', '127.0.0.2');
    page.send('GET /proxy.pac HTTP/1.1\r\nHost: localhost\r\n\r\n');
    assert.match(await page.until('\r\n\r\n'), /^HTTP\/1\.1 403 /);
    using allowed = await rawClient(proxy.port, '127.0.0.1', '127.0.0.3');
    allowed.send('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    assert.match(await allowed.until('\r\n\r\n'), /^HTTP\/1\.1 200 /);
  }),
);

test(
  'addresses that a reload allows or takes away count for new connections, and for requests on old ones',
  { skip: notLinux },
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('fine')));
    const settings = { listen: 'http://127.0.0.1:0', log: { format: 'off' } } as const;
    await using proxy = await ProxyUnderTest.start({ ...settings, clients: { allow: ['127.0.0.2'] } });
    const get = `GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`;
    using old = await rawClient(proxy.port, '127.0.0.1', '127.0.0.2');
    old.send(get);
    await old.until('fine');
    old.forget(old.bytesReceived);
    await proxy.proxy.reload(resolveOptions({ ...settings, clients: { allow: ['127.0.0.3'] } }));
    old.send(get);
    assert.match(await old.until('\r\n\r\n'), /^HTTP\/1\.1 403 /);
    using again = await rawClient(proxy.port, '127.0.0.1', '127.0.0.2');
    assert.match(await again.until('\r\n\r\n'), /^HTTP\/1\.1 403 /);
    using now = await rawClient(proxy.port, '127.0.0.1', '127.0.0.3');
    now.send(get);
    assert.match(await now.until('\r\n\r\n'), /^HTTP\/1\.1 200 /);
  }),
);

test('clients that are not allowed take neither slots nor, for long, files', { skip: notLinux }, async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/viaduct.yaml`;
  writeFileSync(file, 'listen: 127.0.0.1:0\nclients: { allow: [127.0.0.3] }\nlog: { format: off }\n');
  await using origin = await RawOrigin.listen(echo);
  using running = viaduct(['-c', file], {}, FILES);
  const port = await running.port();
  const strangers: RawPeer[] = [];
  for (let turn = 0; turn < 20; turn++) strangers.push(...(await crowd(port, '127.0.0.2', 100)));
  const clients = await Promise.all(Array.from({ length: SHARE }, () => opensTunnel(port, '127.0.0.3', origin)));
  for (const client of [...strangers, ...clients]) client[Symbol.dispose]();
});
