import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ProxyOptions, startProxy } from '../../src/index.ts';
import { viaduct } from '../support/cli.ts';
import { jain } from '../support/gate-consumers.ts';
import { RawOrigin } from '../support/origin.ts';
import { untilSteady } from '../support/steady.ts';
import { temporaryFolder } from '../support/temporary.ts';
import {
  type Arrivals,
  arrived,
  assertExact,
  counting,
  download,
  flood,
  median,
  partOfRate,
  portOf,
  type RateMeasurement,
  roundTrips,
  TrafficOrigin,
  tunnel,
  upload,
} from '../support/traffic.ts';
import { until } from '../support/until.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const isLong = process.env.VIADUCT_LONG === '1';
/** From here on a rate is measured: the burst has gone by then, and every connection is up to speed. */
const BEGUN_MS = 500;
/** Waits that are the measurement: a rate, a share or a cost is what happens in them. */
const SHARES_MS = 4_000;
const BURST_MS = 1_000;
const SLOW_MS = 1_500;
const HELD_MS = 1_500;
const GROWTH_MS = 2_000;
const IDLE_MS = 2_000;
const LONG_BEGUN_MS = 2_000;
const LONG_SHARES_MS = 10_000;
/** By then a limit that a reload has changed holds. */
const CHANGED_MS_MAX = 1_000;

/** Tunnels that download, in writes of `each` bytes at the origin. */
async function downloads(port: number, origin: TrafficOrigin, count: number, each: number): Promise<Arrivals[]> {
  const opened = await Promise.all(Array.from({ length: count }, () => tunnel(port, origin, `flood ${each}`)));
  return opened.map((traffic) => counting(traffic).down);
}

/** Tunnels that upload, in writes of `each` bytes, as the origin receives them. */
async function uploads(port: number, origin: TrafficOrigin, count: number, each: number): Promise<Arrivals[]> {
  for (let at = 0; at < count; at++) flood((await tunnel(port, origin, 'drain')).socket, each);
  return origin.received;
}

type Load = (port: number, origin: TrafficOrigin) => Promise<readonly Arrivals[]>;

/** Every load has its own proxy and origin, so that all of them can be measured at the same time. */
async function partOf(rate: number, load: Load, options: ProxyOptions, windowMs: number): Promise<RateMeasurement> {
  await using origin = await TrafficOrigin.listen();
  await using proxy = await startProxy(options);
  const all = await load(portOf(proxy.url), origin);
  await sleep(BEGUN_MS);
  return await partOfRate(all, rate, windowMs);
}

const LOADS: readonly (readonly [what: string, rate: number, load: Load, direction?: 'up' | 'down'])[] = [
  ['a tunnel down', 64 * KIB, (port, origin) => downloads(port, origin, 1, 64 * KIB)],
  ['10 tunnels down in small writes', 64 * KIB, (port, origin) => downloads(port, origin, 10, 500)],
  ['a tunnel up', MIB, (port, origin) => uploads(port, origin, 1, 64 * KIB), 'up'],
  ['8 tunnels up in small writes', 2 * MIB, (port, origin) => uploads(port, origin, 8, 1000)],
  ['a body with a length', 8 * MIB, async (port, origin) => [(await download(port, origin)).down], 'down'],
  [
    '3 bodies in chunks',
    MIB,
    async (port, origin) => {
      const all = await Promise.all([1, 2, 3].map(() => download(port, origin, '/chunked')));
      return all.map(({ down }) => down);
    },
  ],
  [
    '2 bodies up',
    4 * MIB,
    async (port, origin) => {
      await Promise.all([1, 2].map(() => upload(port, origin)));
      return origin.received;
    },
  ],
  [
    'tunnels both ways',
    3 * MIB,
    async (port, origin) => {
      const down = await downloads(port, origin, 2, 64 * KIB);
      await uploads(port, origin, 2, 64 * KIB);
      return [...down, ...origin.received];
    },
  ],
];

test('a limit is exact within 2 %, for tunnels and bodies, up and down', { timeout: 30_000 }, async () => {
  await Promise.all(
    LOADS.map(async ([what, rate, load, way]) => {
      const direction = way ?? 'both';
      assertExact(await partOf(rate, load, { limits: { bandwidth: { rate, direction } } }, 3000), what);
    }),
  );
});

test('tunnels that share a limit get equal shares, with reads and writes of any size', {
  timeout: 30_000,
}, async () => {
  const fairness = async (count: number): Promise<number> => {
    await using origin = await TrafficOrigin.listen();
    await using proxy = await startProxy({ limits: { bandwidth: { rate: '2MiB' } } });
    const sizes = [500, 4 * KIB, 64 * KIB];
    const all = await Promise.all(
      Array.from({ length: count }, (_, at) =>
        tunnel(portOf(proxy.url), origin, `flood ${sizes[at % sizes.length] ?? 0}`),
      ),
    );
    const down = all.map((traffic) => counting(traffic).down);
    await sleep(BEGUN_MS);
    const fromMs = performance.now();
    await sleep(SHARES_MS);
    return jain(down.map((one) => arrived([one], fromMs, performance.now())));
  };
  for (const [at, index] of (await Promise.all([fairness(2), fairness(16)])).entries()) {
    assert.ok(index >= 0.99, `Jain's index ${index} with ${[2, 16][at]} tunnels`);
  }
});

test('a limit per user holds over all connections of the user, and what one leaves the others get', async () => {
  await using origin = await TrafficOrigin.listen();
  await using proxy = await startProxy({
    authenticate: ({ username }) => ({ id: username }),
    limits: {
      bandwidth: [
        { per: 'proxy', rate: '768KiB' },
        { per: 'user', rate: '256KiB', match: { users: ['ann'] } },
      ],
    },
  });
  const open = async (user: string) =>
    counting(await tunnel(portOf(proxy.url), origin, 'flood 65536', `${user}:x`)).down;
  const ann = await Promise.all(['ann', 'ann', 'ann'].map(open));
  const bob = [await open('bob')];
  await sleep(BEGUN_MS);
  const [ofAnn, ofBob] = await Promise.all([partOfRate(ann, 256 * KIB, 3000), partOfRate(bob, 512 * KIB, 3000)]);
  assertExact(ofAnn, 'three tunnels of one user');
  assertExact(ofBob, 'the other user');
});

test('no more than the burst comes at once after a pause', async () => {
  await using origin = await TrafficOrigin.listen();
  await using proxy = await startProxy({ limits: { bandwidth: { rate: '256KiB' } } });
  const startedMs = performance.now();
  const { down } = counting(await tunnel(portOf(proxy.url), origin, 'flood 65536'));
  await sleep(BURST_MS);
  const seconds = (performance.now() - startedMs) / 1000;
  const most = 256 * KIB * (seconds + 0.2) + 2 * KIB;
  assert.ok(down.total <= most, `${down.total} bytes after ${seconds} s, at most ${most}`);
});

test('an echo beside 16 downloads under one limit waits less than 15 ms', { timeout: 30_000 }, async () => {
  await using origin = await TrafficOrigin.listen();
  await using proxy = await startProxy({ limits: { bandwidth: { rate: '512KiB' } } });
  await using unlimited = await startProxy();
  await downloads(portOf(proxy.url), origin, 16, 64 * KIB);
  await sleep(BEGUN_MS);
  // The same machine, as busy as it is: what the limit adds is what is judged.
  const echoes = await Promise.all([proxy, unlimited].map(({ url }) => tunnel(portOf(url), origin, 'echo')));
  const [limited = [], free = []] = await Promise.all(echoes.map((echo) => roundTrips(echo, 100)));
  assert.ok(median(limited) - median(free) < 15, `${median(limited)} ms, and ${median(free)} ms without a limit`);
});

test('background traffic leaves an interactive tunnel alone', { timeout: 30_000 }, async () => {
  await using bulk = await TrafficOrigin.listen();
  await using origin = await TrafficOrigin.listen();
  const withDownload = async (priority: 'normal' | 'background' | 'none'): Promise<number> => {
    const match = { ports: [bulk.port] };
    const entry = priority === 'background' ? [{ match, priority } as const] : [];
    await using proxy = await startProxy({ limits: { bandwidth: [{ rate: '256KiB' }, ...entry] } });
    if (priority !== 'none') {
      await downloads(portOf(proxy.url), bulk, 4, 64 * KIB);
      await sleep(BEGUN_MS);
    }
    return median(await roundTrips(await tunnel(portOf(proxy.url), origin, 'echo'), 60, 200));
  };
  const [alone = 0, normal = 0, background = 0] = await Promise.all(
    (['none', 'normal', 'background'] as const).map(withDownload),
  );
  assert.ok(background - alone < 10, `${background} ms, alone ${alone} ms; without a priority ${normal} ms`);
});

test('a limit that changes holds within a second for open tunnels, and no byte is lost or moved', {
  timeout: 30_000,
}, async () => {
  using folder = temporaryFolder();
  const file = `${folder.path}/viaduct.yaml`;
  const write = (rate: string) =>
    writeFileSync(file, `listen: 127.0.0.1:0\nlimits: { bandwidth: { name: line, rate: ${rate} } }\n`);
  write('64KiB');
  const payload = randomBytes(8 * MIB);
  const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  await using origin = await RawOrigin.listen((peer) => peer.send(payload).end());
  using running = viaduct(['-c', file, '--log', 'off']);
  const port = await running.port();
  const { socket, down } = counting(await tunnel(port, { target: origin.authority }, 'drain'));
  const hash = createHash('sha256');
  socket.on('data', (bytes) => hash.update(bytes));
  const ended = new Promise((resolve) => socket.once('end', resolve));
  await sleep(SLOW_MS);
  const before = down.total;
  assert.ok(before < 64 * KIB * 2.5, `${before} bytes under 64 KiB/s`);
  write('4MiB');
  await running.says('reloaded: ');
  await until(() => down.total - before > MIB, 'more than 1 MiB arrives under 4 MiB/s', CHANGED_MS_MAX);
  await ended;
  assert.equal(down.total, payload.length);
  assert.equal(hash.digest('hex'), hashOf(payload));
});

test('tunnels that wait hold a bounded part of memory', { timeout: 30_000 }, async () => {
  const COUNT = 200;
  await using origin = await TrafficOrigin.listen();
  using running = viaduct(['-p', '0', '-l', '127.0.0.1', '--rate', '16KiB', '--log', 'off']);
  const port = await running.port();
  const before = residentKib(running.child.pid);
  await downloads(port, origin, COUNT, 64 * KIB);
  await sleep(HELD_MS);
  const first = residentKib(running.child.pid);
  // One read of 64 KiB each, twice while the collector has not been; the rest stays in the kernel.
  assert.ok((first - before) / COUNT < 192, `${(first - before) / COUNT} KiB for each`);
  await sleep(GROWTH_MS);
  const later = residentKib(running.child.pid);
  assert.ok(later - first < 8 * 1024, `${later - first} KiB more two seconds later`);
});

test('2,000 idle tunnels under limits cost nothing measurable', { timeout: 60_000 }, async () => {
  const COUNT = 2000;
  await using origin = await TrafficOrigin.listen();
  using folder = temporaryFolder();
  const file = `${folder.path}/viaduct.yaml`;
  writeFileSync(
    file,
    'listen: 127.0.0.1:0\nlimits:\n  bandwidth:\n    - { rate: 20MiB }\n    - { per: tunnel, rate: 1MiB }\n',
  );
  using running = viaduct(['-c', file, '--log', 'off']);
  const port = await running.port();
  for (let opened = 0; opened < COUNT; opened += 100) {
    const some = await Promise.all(Array.from({ length: 100 }, () => tunnel(port, origin, 'echo')));
    await Promise.all(some.map((one) => roundTrips(one, 1)));
  }
  await untilSteady(() => ticksOf(running.child.pid), 500, 'the proxy works off what was opened');
  // V8 collects the garbage of 2,000 set-ups within one of these times; what idle tunnels cost, they cost in each.
  const used: number[] = [];
  while (used.length < 4 && !used.some((ticks) => ticks <= 4)) {
    const before = ticksOf(running.child.pid);
    await sleep(IDLE_MS);
    used.push(ticksOf(running.child.pid) - before);
  }
  assert.ok(Math.min(...used) <= 4, `${used.join(', ')} hundredths of a second in two seconds each`);
});

test("GoForward's habits: -port and -rate, and each transfer is logged with size, duration and rate", async () => {
  await using origin = await RawOrigin.listen((peer) => peer.send(Buffer.alloc(150_000)).end());
  using running = viaduct(['-l', '127.0.0.1', '-port', '0', '-rate', '524288', '--log', 'pretty']);
  const port = await running.port();
  const { socket, down } = counting(await tunnel(port, { target: origin.authority }, 'drain'));
  await new Promise((resolve) => socket.once('end', resolve));
  socket.end();
  // A stop waits for open tunnels, so that this one is logged as a whole even if its end has not arrived yet.
  running.child.kill('SIGTERM');
  const { out } = await running.ended;
  assert.equal(down.total, 150_000);
  assert.match(out, /CONNECT +127\.0\.0\.1:\d+ +200 .*↓ +\S+ ?[kK]i?B +\d[\d.]* ?m?s +\d[\d.]* ?[kKM]i?B\/s/);
});

if (isLong) {
  test('the whole range of rates, with one tunnel and with 500, over 10 s', { timeout: 900_000 }, async () => {
    for (const rate of [64 * KIB, MIB, 16 * MIB, 200 * MIB]) {
      for (const count of [1, 500]) {
        for (const way of [downloads, uploads]) {
          await using origin = await TrafficOrigin.listen();
          using running = viaduct(['-l', '127.0.0.1', '-p', '0', '--rate', String(rate), '--log', 'off']);
          const all = await way(await running.port(), origin, count, 64 * KIB);
          await sleep(LONG_BEGUN_MS);
          assertExact(await partOfRate(all, rate, 10_000), `${count} × ${way.name} at ${rate / KIB} KiB/s`);
          // A share is granted in quanta of at least 256 bytes: with only a few of them a second no share is steady
          // over 10 s.
          if (count === 1 || rate / count < 2 * KIB) continue;
          const fromMs = performance.now();
          await sleep(LONG_SHARES_MS);
          const shares = all.map((one) => arrived([one], fromMs, performance.now()));
          assert.ok(jain(shares) >= 0.99, `Jain's index ${jain(shares)} at ${rate / KIB} KiB/s`);
        }
      }
    }
  });
}

const residentKib = (pid: number | undefined): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

/** User and system time of a process so far, in hundredths of a second (USER_HZ on every Linux). */
function ticksOf(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
