/** No fault ends the proxy: no descriptors left, errors on either side at any moment, signals to stop. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { isLong } from '../support/bulk.ts';
import { type Running, viaduct } from '../support/cli.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { numbers } from '../support/pace.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { temporaryFolder } from '../support/temporary.ts';

const notLinux = process.platform !== 'linux' && 'the CPU time of another process is read from /proc';

/** The CPU time of the process is compared before and after it. */
const CPU_WINDOW_MS = 1_000;

test('out of descriptors: open tunnels work, other clients are rejected, the CPU is idle, and it recovers', {
  skip: notLinux,
}, async () => {
  await using origin = await RawOrigin.listen(echo);
  using running = viaduct(['-l', '127.0.0.1', '-p', '0', '--log', 'off'], {}, 80);
  const port = await running.port();
  using first = await rawClient(port);
  first.send(connectTo(origin.authority));
  await first.until('\r\n\r\n');

  const crowd: RawPeer[] = [];
  for (let count = 0; count < 200; count++) {
    const client = await rawClient(port);
    crowd.push(client.send(connectTo(origin.authority)));
  }
  await Promise.all(crowd.map((client) => client.when(({ text, ending }) => text !== '' || ending !== 'open')));
  const served = crowd.filter(({ text }) => text.startsWith('HTTP/1.1 200 '));
  const rejected = crowd.filter(({ text }) => /^HTTP\/1\.1 503 /.test(text));
  const closed = crowd.filter(({ text, ending }) => text === '' && ending !== 'open');
  assert.equal(served.length + rejected.length + closed.length, crowd.length, 'every client gets a response or an end');
  const counts = `${served.length} served, ${rejected.length} rejected`;
  assert.ok(served.length > 10 && rejected.length + closed.length > 100, counts);

  const before = cpuMs(running);
  await wait(CPU_WINDOW_MS);
  assert.ok(cpuMs(running) - before < 300, 'the proxy spins');
  first.send('still here');
  await first.until('still here');

  for (const client of crowd) client[Symbol.dispose]();
  for (let isServed = false; !isServed; ) {
    using later = await rawClient(port);
    later.send(connectTo(origin.authority));
    await later.when(({ text, ending }) => text !== '' || ending !== 'open');
    isServed = later.text.startsWith('HTTP/1.1 200 ');
  }
  running.child.kill('SIGKILL');
});

/** CPU time that a process has used; a tick of the kernel is 10 ms wherever Node runs. */
function cpuMs({ child }: Running): number {
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'latin1');
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return (user + system) * 10;
}

test('a drain lets an open response finish, closes idle connections, and ends the process', async () => {
  await using origin = await RawOrigin.listen();
  using running = viaduct(['-l', '127.0.0.1', '-p', '0', '--log', 'off']);
  const port = await running.port();
  using idle = await rawClient(port);
  using busy = await rawClient(port);
  busy.send(`GET http://${origin.authority}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
  const upstream = await origin.connection();
  await upstream.until('\r\n\r\n');
  running.child.kill('SIGTERM');
  await running.says('stopping: 1 open request has up to 30 s to finish');
  assert.equal(await idle.ended(), 'fin');
  await assert.rejects(rawClient(port), { code: 'ECONNREFUSED' });
  upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  assert.match(await busy.until('\r\n\r\nok'), /^Connection: close\r$/m);
  const { code, err } = await running.ended;
  assert.equal(code, 0);
  assert.match(err, /stopped; 1 open request finished, 0 were aborted; the longest lasted [^\n]+\n$/);
});

test('requests that a drain does not finish are reset, and counted', async () => {
  await using origin = await RawOrigin.listen(echo);
  using folder = temporaryFolder();
  const settings = { listen: '127.0.0.1:0', timeouts: { drain: '200ms' }, log: { format: 'off' } };
  const config = folder.write('viaduct.json', settings);
  using running = viaduct(['-c', config]);
  const port = await running.port();
  const clients: RawPeer[] = [];
  for (let count = 0; count < 3; count++) {
    const client = await rawClient(port);
    clients.push(client.send(connectTo(origin.authority)));
    await client.until('\r\n\r\n');
  }
  running.child.kill('SIGINT');
  const { code, err } = await running.ended;
  assert.equal(code, 0);
  assert.match(err, /stopped; 0 open requests finished, 3 were aborted; the longest lasted [^\n]+\n$/);
  for (const client of clients) assert.equal(await client.ended(), 'reset');
});

type Who = 'client' | 'origin';
const HOWS = ['fin', 'reset', 'stall', 'destroy', 'garbage'] as const;
const WHENS = ['at once', 'in the head', 'after the head', 'in the body', 'behind the end'] as const;
const KINDS = ['tunnel', 'upload', 'download', 'chunked', 'upgrade'] as const;

const ROUNDS = isLong ? 20 : 2;

test(
  'a client or an origin that ends, in any way and at any moment, ends only its own request',
  { timeout: 120_000 },
  leavesNothing(async () => {
    await using proxy = await ProxyUnderTest.start({
      timeouts: { idle: '300ms', linger: '150ms', head: '300ms', requestHead: '300ms', requestBody: '300ms' },
    });
    const plays: Promise<void>[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (const kind of KINDS) {
        for (const who of ['client', 'origin'] as const) {
          for (const how of HOWS) {
            for (const when of WHENS) plays.push(chaos(proxy, { kind, who, how, when, seed: plays.length + 1 }));
          }
        }
      }
    }
    await Promise.all(plays);
    await proxy.when(({ records, events }) => records.length >= events.filter(({ type }) => type === 'request').length);
    // No failure is the proxy's own, and it serves as before.
    const faults = proxy.records.filter(({ failure }) => failure === 'internal');
    assert.deepEqual(faults, []);
    await using origin = await RawOrigin.listen(echo);
    using client = await proxy.tunnel(origin.authority);
    client.send('as before');
    await client.until('as before');
  }),
);

interface Chaos {
  readonly kind: (typeof KINDS)[number];
  readonly who: Who;
  readonly how: (typeof HOWS)[number];
  readonly when: (typeof WHENS)[number];
  readonly seed: number;
}

const STALL_MS = 1_000;
/** All of them end at the same time, on one processor perhaps. */
const ENDED_MS_MAX = 60_000;
const BODY = 'b'.repeat(200_000);

async function chaos(proxy: ProxyUnderTest, { kind, who, how, when, seed }: Chaos): Promise<void> {
  const pick = numbers(seed * 7_919);
  await using origin = await RawOrigin.listen((peer) => {
    const answer = answerOf(kind);
    if (who === 'origin') breakOff(peer, answer, how, when, pick);
    else peer.socket.once('data', () => peer.send(answer));
  });
  using client = await proxy.client();
  const request = requestOf(kind, origin.authority);
  if (who === 'client') breakOff(client, request, how, when, pick, 'now');
  else client.send(request);
  // The proxy ends every such connection: all its timeouts are short.
  await client.ended(ENDED_MS_MAX);
  client.end();
}

function requestOf(kind: Chaos['kind'], authority: string): string {
  const target = `http://${authority}/`;
  switch (kind) {
    case 'tunnel':
      return `CONNECT ${authority} HTTP/1.1\r\nHost: x\r\n\r\n${BODY}`;
    case 'upload':
      return `POST ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
    case 'chunked':
      return `POST ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${chunks()}`;
    case 'download':
      return `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    case 'upgrade':
      return `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: x\r\n\r\n${BODY}`;
  }
}

function answerOf(kind: Chaos['kind']): string {
  switch (kind) {
    case 'tunnel':
      return BODY;
    case 'chunked':
      return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks()}`;
    case 'upgrade':
      return `HTTP/1.1 101 Switching\r\nConnection: upgrade, close\r\nUpgrade: x\r\n\r\n${BODY}`;
    default:
      return `HTTP/1.1 200 OK\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
  }
}

const chunks = (): string => `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;

/** Sends a part of the message, and then ends in that way. */
function breakOff(
  peer: RawPeer,
  text: string,
  how: Chaos['how'],
  when: Chaos['when'],
  pick: (below: number) => number,
  begins: 'now' | 'asked' = 'asked',
): void {
  const head = text.includes('\r\n\r\n') ? text.indexOf('\r\n\r\n') + 4 : 0;
  const cut = {
    'at once': 0,
    'in the head': pick(Math.max(head, 1)),
    'after the head': head,
    'in the body': head + pick(Math.max(text.length - head, 1)),
    'behind the end': text.length,
  }[when];
  const go = () => {
    if (cut > 0) peer.send(text.slice(0, cut));
    if (how === 'fin') peer.end();
    else if (how === 'reset') setTimeout(() => peer.reset(), pick(20));
    else if (how === 'destroy') peer.socket.destroy();
    else if (how === 'garbage') peer.send('\x00\xff\r\n'.repeat(1 + pick(1000))).end();
    else {
      // Neither reads nor writes, for longer than the proxy waits.
      peer.socket.pause();
      setTimeout(() => peer.socket.resume(), STALL_MS);
    }
  };
  if (begins === 'now' || when === 'at once') go();
  else peer.socket.once('data', go);
}
