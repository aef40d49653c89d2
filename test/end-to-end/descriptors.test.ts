/**
 * When there are more clients than descriptors: each is served or rejected with an answer, and later all is as before.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { type Running, viaduct } from '../support/cli.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { type RawPeer, rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { run } from '../support/run.ts';
import { untilSteady } from '../support/steady.ts';
import { until } from '../support/until.ts';

const notLinux = process.platform !== 'linux' && 'limits of another process are read from /proc';
const noAddon = activeRelay('auto') !== 'native' && 'the addon is not built here; npm run build says why';
const relays = [
  ['native', notLinux || noAddon],
  ['portable', notLinux],
] as const;
const CROWD = 2_048;
const TEST_MS_MAX = 120_000;

/** Of 192 places that 1,024 files leave, one client address may have seven eighths. */
const SHARE = 168;

/** A proxy in a process of its own, with so many files; and its ports. */
async function started(relay: string, filesMax: number | undefined, ...words: readonly string[]) {
  const listen = words.length > 0 ? words : ['-l', '127.0.0.1', '-p', '0'];
  const running = viaduct([...listen, '--log', 'off', '--relay', relay], {}, filesMax);
  const listeners = listen.filter((word) => word === '-l').length;
  const said = await running.says(new RegExp(`(http://[^ ]+:\\d+\\b.*){${listeners}}\\n`, 's'));
  const ports = [...said.matchAll(/http:\/\/[^ :]+:(\d+)/g)].map(([, port]) => Number(port));
  return { running, ports, port: ports[0] ?? 0 };
}

/** For so long the processor time of a proxy without a free descriptor is measured. */
const STARVED_MS = 1_000;

const statusOf = ({ text }: RawPeer): string => /^HTTP\/1\.1 (\d+) .*?\r\n\r\n/s.exec(text)?.[1] ?? 'none';

/** How many got which answer, once all have one; `none` is a client that was closed or reset without one. */
async function answersOf(clients: readonly RawPeer[]): Promise<Record<string, number>> {
  const counted: Record<string, number> = {};
  for (const client of clients) {
    await client.when((peer) => statusOf(peer) !== 'none' || peer.ending !== 'open', 'answer', 60_000);
    const status = statusOf(client);
    counted[status] = (counted[status] ?? 0) + 1;
  }
  return counted;
}

/** Waits until a tunnel can be opened: places come back when the clients that had them are gone. */
async function untilServed(port: number, authority: string): Promise<void> {
  const isServed = async (): Promise<boolean> => {
    using client = await rawClient(port);
    client.send(connectTo(authority));
    return (await answersOf([client]))['200'] === 1;
  };
  await until(isServed, 'a client is served again');
}

for (const [relay, skip] of relays) {
  for (const how of [
    'send at once and close when they are rejected',
    'send when all are there and never close',
  ] as const) {
    test(
      `of ${CROWD} clients that ${how}, ${SHARE} are served and all others rejected with 503 (${relay}, 1,024 files)`,
      { skip, timeout: TEST_MS_MAX },
      leavesNothing(async () => {
        await using origin = await RawOrigin.listen(echo);
        const { running, port } = await started(relay, 1_024);
        using _running = running;
        const request = connectTo(origin.authority);
        const isAtOnce = how.startsWith('send at once');
        const clients = await Promise.all(
          Array.from({ length: CROWD }, async () => {
            const client = await rawClient(port);
            if (!isAtOnce) return client;
            client.socket.on('end', () => client.end());
            return client.send(request);
          }),
        );
        if (!isAtOnce) for (const client of clients) client.send(request);
        assert.deepEqual(await answersOf(clients), { '200': SHARE, '503': CROWD - SHARE });
        for (const client of clients) client[Symbol.dispose]();
        await untilServed(port, origin.authority);
      }),
    );
  }

  test(
    `each of two workers has slots of its own, and rejects all others with 503 (${relay})`,
    { skip, timeout: TEST_MS_MAX },
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(echo);
      const { running, port } = await started(relay, 1_024, '-l', '127.0.0.1', '-p', '0', '--workers', '2');
      using _running = running;
      const clients = await Promise.all(Array.from({ length: CROWD }, () => rawClient(port)));
      for (const client of clients) client.send(connectTo(origin.authority));
      assert.deepEqual(await answersOf(clients), { '200': 2 * SHARE, '503': CROWD - 2 * SHARE });
      for (const client of clients) client[Symbol.dispose]();
      await untilServed(port, origin.authority);
    }),
  );

  test(
    `listeners of one process share its slots (${relay})`,
    { skip, timeout: TEST_MS_MAX },
    leavesNothing(async () => {
      const { running, ports } = await started(relay, 700, '-l', 'http://127.0.0.1:0', '-l', 'http://127.0.0.2:0');
      using _running = running;
      const [one = 0, two = 0] = ports;
      // 640 files are kept back and every client may need two: 64 fit, and 56 of them are for one address.
      const clients = await Promise.all([
        ...Array.from({ length: 40 }, () => rawClient(one)),
        ...Array.from({ length: 17 }, () => rawClient(two, '127.0.0.2')),
      ]);
      const answered = () => clients.map(statusOf).filter((status) => status !== 'none');
      await until(() => answered().length > 0, 'a client is rejected');
      assert.deepEqual(answered(), ['503']);
      for (const client of clients) client[Symbol.dispose]();
    }),
  );

  test(
    `without a descriptor a request is answered 503, also one for a name, and then all is as before (${relay})`,
    { skip, timeout: TEST_MS_MAX },
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(echo);
      const { running, port } = await started(relay, undefined);
      using _running = running;
      await untilServed(port, origin.authority);
      await settled(running);
      const before = openIn(running).length;
      const clients = await Promise.all(Array.from({ length: 4 }, () => rawClient(port)));
      // The kernel may keep those that are silent for a second.
      await until(() => openIn(running).length === before + clients.length, 'the clients are accepted');
      await settled(running);
      await limitFiles(running, 'to those that are open');
      for (const [at, client] of clients.entries()) {
        client.send(connectTo(at % 2 === 0 ? origin.authority : `localhost:${origin.port}`));
      }
      assert.deepEqual(await answersOf(clients), { '503': 4 });
      await limitFiles(running, 'to many');
      for (const client of clients) client[Symbol.dispose]();
      await untilServed(port, origin.authority);
      await untilServed(port, `localhost:${origin.port}`);
    }),
  );
}

test(
  'without a descriptor new clients wait, waiting uses no processor, and then they are served',
  { skip: notLinux || noAddon, timeout: TEST_MS_MAX },
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    const { running, port } = await started('native', undefined);
    using _running = running;
    await untilServed(port, origin.authority);
    await settled(running);
    await limitFiles(running, 'to those that are open');
    const clients = await Promise.all(Array.from({ length: 20 }, () => rawClient(port)));
    for (const client of clients) client.send(connectTo(origin.authority));
    await running.says(/accepting failed: accept EMFILE/);
    const before = processorMs(running);
    const beganMs = performance.now();
    await wait(STARVED_MS);
    // A proxy that tried at every turn of its event loop would use all of it.
    assert.ok(processorMs(running) - before < (performance.now() - beganMs) / 2);
    assert.ok(clients.every(({ ending, bytesReceived }) => ending === 'open' && bytesReceived === 0));
    await limitFiles(running, 'to many');
    assert.deepEqual(await answersOf(clients), { '200': 20 });
    for (const client of clients) client[Symbol.dispose]();
  }),
);

test(
  'a download goes on when there are few descriptors left, and leaves them to others',
  { skip: notLinux || noAddon, timeout: TEST_MS_MAX },
  leavesNothing(async () => {
    const bytes = 8_000_000;
    await using origin = await RawOrigin.listen((peer) => peer.send(Buffer.alloc(bytes)).end());
    await using quiet = await RawOrigin.listen(echo);
    const { running, port } = await started('native', undefined);
    using _running = running;
    await untilServed(port, quiet.authority);
    await settled(running);
    // Enough for this and one more tunnel, and for no pipe.
    await limitFiles(running, 'to five more');
    using client = await rawClient(port);
    client.send(connectTo(origin.authority));
    await client.when(({ bytesReceived }) => bytesReceived > bytes, 'download');
    using other = await rawClient(port);
    other.send(connectTo(quiet.authority));
    assert.deepEqual(await answersOf([other]), { '200': 1 });
  }),
);

const pidOf = ({ child }: Running): number => {
  assert.ok(child.pid !== undefined);
  return child.pid;
};
const openIn = (running: Running): number[] =>
  readdirSync(`/proc/${pidOf(running)}/fd`)
    .map(Number)
    .sort((one, other) => one - other);

/** Resolves when a process has opened and closed nothing for a while. */
async function settled(running: Running): Promise<void> {
  await untilSteady(() => openIn(running).join(), 200, 'the open files of the proxy');
}

async function limitFiles(running: Running, how: 'to those that are open' | 'to five more' | 'to many'): Promise<void> {
  const taken = new Set(openIn(running));
  const free = Array.from({ length: 1_000 }, (_, number) => number).filter((number) => !taken.has(number));
  const soft = { 'to those that are open': free[0], 'to five more': free[5], 'to many': 4_096 }[how];
  const { code, err } = await run('prlimit', ['--pid', String(pidOf(running)), `--nofile=${soft}:`]);
  assert.deepEqual([code, err], [0, '']);
}

/** What a process has used of the processor. Its ticks are hundredths of a second on Linux. */
function processorMs(running: Running): number {
  const fields = readFileSync(`/proc/${pidOf(running)}/stat`, 'latin1')
    .replace(/^.*\) /, '')
    .split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}
