import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProxyRecord, ViaductProxy } from '../../src/index.ts';
import { startProxy } from '../../src/index.ts';
import { viaduct } from '../support/cli.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { counting, portOf, TrafficOrigin, tunnel } from '../support/traffic.ts';

/** A bucket that gains five tokens a second has gained one by then. */
const TOKEN_MS = 220;
/** For so long the bytes under a rate are counted. */
const MEASURED_MS = 1_500;

/** The next event of this type. `decided` comes just before the request asks the limits, in the same turn. */
const next = (proxy: ViaductProxy, type: 'decided' | 'close'): Promise<unknown> =>
  new Promise((resolve) => proxy.once(type, resolve));

/** Sends one request and gives the whole answer, the body of a refusal included. */
async function ask(port: number, request: string): Promise<string> {
  using client = await rawClient(port);
  client.send(request);
  await client.when(({ text }) => isWhole(text), 'a whole answer');
  return client.text;
}
function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const length = /^content-length: (\d+)/im.exec(text)?.[1];
  return length === undefined || text.length >= end + 4 + Number(length);
}
const get = (target: string): string => `GET http://${target}/ HTTP/1.1\r\nHost: ${target}\r\n\r\n`;

test('a tunnel beyond the limit waits for a slot, and gets 503 when none becomes free', async () => {
  await using origin = await TrafficOrigin.listen();
  await using proxy = await startProxy({ limits: { tunnels: { total: 1, wait: '400ms', queue: 4 } } });
  const port = portOf(proxy.url);
  using first = await tunnel(port, origin, 'echo');

  const startedMs = performance.now();
  const refused = await ask(port, connectTo(origin.target));
  const waitedMs = performance.now() - startedMs;
  assert.match(refused, /^HTTP\/1\.1 503 /);
  assert.match(refused, /^Retry-After: 1\r$/m);
  assert.match(refused, /^RateLimit-Policy: "tunnels total";q=1;qu="concurrent-requests"\r$/m);
  assert.match(refused, /\r\n\r\n.*limit "tunnels total" allows 1 open tunnel\b/s);
  assert.ok(waitedMs >= 390, `after ${waitedMs} ms`);

  const queued = next(proxy, 'decided');
  const waiting = tunnel(port, origin, 'echo');
  await queued;
  first.socket.destroy();
  using second = await waiting;
  assert.match(second.head, /^HTTP\/1\.1 200 /);
});

test('a client that gives up while it waits leaves no slot taken', async () => {
  await using origin = await TrafficOrigin.listen();
  await using proxy = await startProxy({ limits: { tunnels: { total: 1, wait: '5s' } } });
  const port = portOf(proxy.url);
  using first = await tunnel(port, origin, 'echo');
  const impatient = await rawClient(port);
  const queued = next(proxy, 'decided');
  impatient.send(connectTo(origin.target));
  await queued;
  const gone = next(proxy, 'close');
  impatient.reset();
  await gone;
  first.socket.destroy();
  using third = await tunnel(port, origin, 'echo');
  assert.match(third.head, /^HTTP\/1\.1 200 /);
});

test('a limit per client is 429, and a plain request is no tunnel', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  await using proxy = await startProxy({ limits: { tunnels: { client: 1, wait: 0 } } });
  const port = portOf(proxy.url);
  using _open = await tunnel(port, { target: origin.authority }, 'echo');
  const refused = await ask(port, connectTo(origin.authority));
  assert.match(refused, /^HTTP\/1\.1 429 /);
  assert.match(refused, /limit "tunnels client" allows 1 open tunnel for one client/);
  assert.match(await ask(port, get(origin.authority)), /^HTTP\/1\.1 200 /);
});

test('requests pass as a token bucket lets them: the burst at once, then one at a time', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  await using proxy = await startProxy({ limits: { requests: { name: 'polite', per: 'client', rate: 5, burst: 3 } } });
  const port = portOf(proxy.url);
  const statuses: number[] = [];
  let refused = '';
  for (let at = 0; at < 5; at++) {
    const answer = await ask(port, get(origin.authority));
    statuses.push(Number(answer.split(' ')[1]));
    if (statuses.at(-1) === 429) refused = answer;
  }
  assert.deepEqual(statuses, [200, 200, 200, 429, 429]);
  assert.match(refused, /^Retry-After: 1\r$/m);
  assert.match(refused, /^RateLimit-Policy: "polite";q=3;qu="requests";w=1\r$/m);
  assert.match(refused, /^RateLimit: "polite";r=0;t=1\r$/m);
  assert.match(refused, /limit "polite" allows 5 requests a second/);
  assert.match(refused, /^Proxy-Status: viaduct; error=http_request_denied\r$/m);
  await sleep(TOKEN_MS);
  assert.match(await ask(port, get(origin.authority)), /^HTTP\/1\.1 200 /);
});

test('a quota stops a running tunnel as a cut, refuses the next one, and survives a restart', {
  timeout: 20_000,
}, async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/viaduct.yaml`;
  writeFileSync(
    file,
    'listen: 127.0.0.1:0\nlimits:\n  quota: { name: monthly, per: client, bytes: 1MiB, every: 30d }\n  state: state/quota.json\n',
  );
  await using origin = await TrafficOrigin.listen();
  {
    using running = viaduct(['-c', file, '--log', 'json']);
    const { socket, down } = counting(await tunnel(await running.port(), origin, 'flood 65536'));
    const hadError = await new Promise((resolve) => socket.once('close', resolve));
    // The libuv of Node 22 may report a reset behind data as an end; the record below has the truth.
    if (!process.version.startsWith('v22.')) assert.equal(hadError, true, 'a reset, not an orderly end');
    assert.ok(down.total > 0 && down.total <= 1024 * 1024, `${down.total} bytes`);
    running.child.kill('SIGTERM');
    const { out } = await running.ended;
    const record: unknown = JSON.parse(out);
    assert.ok(typeof record === 'object' && record !== null);
    assert.ok('end' in record && 'bytesUp' in record && 'bytesDown' in record);
    assert.equal(record.end, 'limit');
    assert.equal(Number(record.bytesUp) + Number(record.bytesDown), 1024 * 1024, 'all of the quota, and no byte more');
  }
  using running = viaduct(['-c', file, '--log', 'off']);
  const refused = await ask(await running.port(), connectTo(origin.target));
  assert.match(refused, /^HTTP\/1\.1 429 /);
  const [, retry] = /^Retry-After: (\d+)\r$/m.exec(refused) ?? [];
  assert.ok(Number(retry) > 29 * 86_400 && Number(retry) <= 30 * 86_400, `${retry} s`);
  assert.match(refused, /^RateLimit-Policy: "monthly";q=1048576;qu="content-bytes";w=2592000\r$/m);
  assert.match(refused, new RegExp(`^RateLimit: "monthly";r=0;t=${retry}\r$`, 'm'));
  assert.match(
    refused,
    /limit "monthly" allows 1MiB every 30d: 0B are left; it resets at \d{4}-\d\d-\d\d \d\d:\d\d UTC, in /,
  );
});

test('a body that a quota ends is cut, never passed off as complete', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('x'.repeat(100_000))));
  await using proxy = await startProxy({ limits: { quota: { per: 'client', bytes: 50_000, every: '1d' } } });
  const closed = new Promise<ProxyRecord>((resolve) => proxy.once('close', ({ record }) => resolve(record)));
  using client = await rawClient(portOf(proxy.url));
  client.send(get(origin.authority));
  await client.ended();
  const bytes = client.text.slice(client.text.indexOf('\r\n\r\n') + 4);
  assert.match(client.text, /^Content-Length: 100000\r$/m);
  assert.equal(bytes.length, 50_000);
  const { status, failure, bytesDown } = await closed;
  assert.deepEqual({ status, failure, bytesDown }, { status: 200, failure: 'quota_exceeded', bytesDown: 50_000 });
});

test('the limit hook of a program sets what each user gets, and its failure refuses in plain words', async () => {
  await using origin = await TrafficOrigin.listen();
  await using proxy = await startProxy({
    authenticate: ({ username, password }) => (password === 'x' ? { id: username } : null),
    limit: (ctx) => {
      if (ctx.user?.id === 'broken') throw new Error('no such user in the table of limits');
      return { down: [{ key: `user:${ctx.user?.id}`, rate: '64KiB' }] };
    },
  });
  const port = portOf(proxy.url);
  const records: ProxyRecord[] = [];
  proxy.on('close', ({ record }) => records.push(record));
  using one = counting(await tunnel(port, origin, 'flood 65536', 'ann:x'));
  using two = counting(await tunnel(port, origin, 'flood 65536', 'ann:x'));
  await sleep(MEASURED_MS);
  const total = one.down.total + two.down.total;
  assert.ok(total > 64 * 1024 && total < 64 * 1024 * 2.2, `${total} bytes for both in 1.5 s`);
  const head = `Proxy-Authorization: Basic ${Buffer.from('broken:x').toString('base64')}\r\n`;
  const refused = await ask(port, connectTo(origin.target).replace('\r\n\r\n', `\r\n${head}\r\n`));
  assert.match(refused, /^HTTP\/1\.1 500 /);
  assert.match(refused, /The program that runs this proxy could not decide about the request\./);
  assert.doesNotMatch(refused, /table of limits/);
  assert.deepEqual(records[0]?.failure, 'hook_failed');
  assert.match(records[0]?.detail ?? '', /no such user in the table of limits/);
});
