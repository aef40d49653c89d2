import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { canSharePorts } from '../../src/cluster/ports.ts';
import { Secret } from '../../src/contracts/secret.ts';
import { digestLines } from '../../src/identity/digest-line.ts';
import { parseChallenges } from '../../src/protocol/http-auth/challenge.ts';
import { digestCredentials, readDigest } from '../../src/protocol/http-auth/digest.ts';
import { AuthenticatingProxy, asks, BASIC } from '../support/authenticating-proxy.ts';
import { type Running, viaduct, viaductEnds } from '../support/cli.ts';
import { jain } from '../support/gate-consumers.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { childrenOf, ownerOf } from '../support/processes.ts';
import { connectTo } from '../support/requests.ts';
import { temporaryFolder } from '../support/temporary.ts';
import {
  arrived,
  assertExact,
  converse,
  counting,
  partOfRate,
  roundTrips,
  type Traffic,
  TrafficOrigin,
  type Wish,
} from '../support/traffic.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const isLinux = process.platform === 'linux';
const skip = !isLinux || !(await canSharePorts()) ? 'ports cannot be shared here' : false;

const get = (target: string): string =>
  `GET http://${target}/ HTTP/1.1\r\nHost: ${target}\r\nConnection: close\r\n\r\n`;
const statusOf = ({ head }: Traffic): number => Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);

/** By then every download is up to speed. */
const BEGUN_MS = 700;

/** A proxy with two workers and a configuration file of its own. */
class TwoWorkerProxy implements AsyncDisposable {
  readonly running: Running;
  readonly port: number;
  readonly file: string;
  readonly folder: ReturnType<typeof temporaryFolder>;

  private constructor(running: Running, port: number, folder: ReturnType<typeof temporaryFolder>) {
    this.running = running;
    this.port = port;
    this.folder = folder;
    this.file = join(folder.path, 'viaduct.json');
  }

  static async start(settings: object = {}): Promise<TwoWorkerProxy> {
    const folder = temporaryFolder();
    const file = join(folder.path, 'viaduct.json');
    writeFileSync(file, JSON.stringify(settings));
    const words = ['-c', file, '--workers', '2', '-l', '127.0.0.1', '-p', '0', '--pac', 'none'];
    const running = viaduct([...words, '--log', 'json', '--log-file', join(folder.path, 'access.log')], {
      XDG_STATE_HOME: folder.path,
    });
    const said = await running.says(/listening on [^\n]+\n/);
    return new TwoWorkerProxy(running, Number(/:(\d+)\n/.exec(said)?.[1]), folder);
  }

  get workers(): number[] {
    return childrenOf(this.running.child.pid ?? 0);
  }

  ownerOf({ socket }: Traffic): number | undefined {
    return ownerOf(this.workers, socket.localPort ?? 0, this.port);
  }

  /** So many tunnels in each worker; what the kernel deals out beyond that is closed. */
  async tunnels(origin: TrafficOrigin, counts: readonly [number, number], wish: Wish): Promise<Traffic[]> {
    const missing = new Map(this.workers.map((pid, at) => [pid, counts[at] ?? 0]));
    const kept: Traffic[] = [];
    let closed = 0;
    while ([...missing.values()].some((count) => count > 0)) {
      const one = await converse(this.port, connectTo(origin.target));
      assert.equal(statusOf(one), 200);
      const owner = this.ownerOf(one) ?? 0;
      const left = missing.get(owner) ?? 0;
      if (left === 0) {
        one[Symbol.dispose]();
        closed += 1;
        continue;
      }
      missing.set(owner, left - 1);
      kept.push(one);
    }
    if (closed > 0) await until(() => this.log().length >= closed, 'the worker has closed them as well');
    for (const { socket } of kept) socket.write(`${wish}\n`);
    return kept;
  }

  get logText(): string {
    return readFileSync(join(this.folder.path, 'access.log'), 'utf8');
  }

  /** Whole lines: while it is read, the kernel may have written one in part. */
  log(): { id: string; status: number; bytesUp?: number; bytesDown?: number }[] {
    return this.logText
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM') {
    this.running.child.kill(signal);
    return await this.running.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.running.child.kill('SIGKILL');
    await this.running.ended;
    this.folder[Symbol.dispose]();
  }
}

test('two workers serve as one proxy: one Via, unique ids, whole lines in one log', { skip }, async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  await using proxy = await TwoWorkerProxy.start();
  const said = await proxy.running.says('listening on');
  assert.equal(said.match(/listening on/g)?.length, 1);
  const pids = proxy.workers;
  assert.equal(pids.length, 2);

  const answers = await Promise.all(Array.from({ length: 60 }, () => converse(proxy.port, get(origin.authority))));
  assert.deepEqual([...new Set(answers.map(statusOf))], [200]);
  const names = new Set(answers.map(({ head }) => /^via: 1\.1 (\S+)$/im.exec(head)?.[1]));
  assert.equal(names.size, 1);

  // Whichever worker a request comes back to, it has been here.
  const [name] = names;
  const loops = await Promise.all(
    Array.from({ length: 20 }, () => converse(proxy.port, connectTo(origin.authority, `Via: 1.1 ${name}`))),
  );
  assert.deepEqual([...new Set(loops.map(statusOf))], [508]);
  await until(() => proxy.log().length === 80, 'all requests are logged');
  const ids = proxy.log().map(({ id }) => id);
  assert.equal(new Set(ids).size, 80);
  const workersOf = (lines: { id: string }[]) => new Set(lines.map(({ id }) => id.split('-')[0])).size;
  assert.equal(workersOf(proxy.log().filter(({ status }) => status === 200)), 2);
  assert.equal(workersOf(proxy.log().filter(({ status }) => status === 508)), 2);

  const second = await viaductEnds(['--workers', '2', '-l', '127.0.0.1', '-p', String(proxy.port), '--pac', 'none']);
  assert.equal(second.code, 2);
  assert.match(
    second.err,
    new RegExp(`^viaduct: [^\\n]*127\\.0\\.0\\.1:${proxy.port}[^\\n]*another program[^\\n]*\\n$`),
  );
  const { code, err } = await proxy.stop();
  assert.deepEqual([code, err.includes('died')], [0, false]);
  assert.deepEqual([proxy.log().length, proxy.logText.endsWith('}\n')], [80, true]);
});

test('listeners on free ports of one address have a port each, which all workers share', { skip }, async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  using folder = temporaryFolder();
  const words = ['-l', '127.0.0.1:0', '-l', '127.0.0.1:0', '-l', 'socks5://127.0.0.1:0', '--pac', 'none', '--no-admin'];
  const running = viaduct(['--workers', '2', ...words], { XDG_STATE_HOME: folder.path });
  const said = await running.says(/(?:listening on [^\n]+\n){3}/);
  const ports = [...said.matchAll(/listening on (\w+):\/\/127\.0\.0\.1:(\d+)\n/g)].map(([, scheme, port]) => ({
    scheme,
    port: Number(port),
  }));
  assert.deepEqual(
    ports.map(({ scheme }) => scheme),
    ['http', 'http', 'socks5'],
  );
  assert.equal(new Set(ports.map(({ port }) => port)).size, 3);
  for (const { scheme, port } of ports)
    if (scheme === 'http') assert.equal(statusOf(await converse(port, get(origin.authority))), 200);
  running.child.kill('SIGTERM');
  assert.equal((await running.ended).code, 0);
});

test('a worker that is killed is replaced, and only its own tunnels end and give their places back', {
  skip,
}, async () => {
  await using origin = await TrafficOrigin.listen();
  await using proxy = await TwoWorkerProxy.start({ limits: { tunnels: { total: 10, wait: 0 } } });
  const pids = proxy.workers;
  const open = await proxy.tunnels(origin, [4, 4], 'echo');
  const more = await Promise.all(Array.from({ length: 12 }, () => converse(proxy.port, connectTo(origin.target))));
  assert.deepEqual(more.map(statusOf).sort(), [200, 200, ...Array.from({ length: 10 }, () => 503)]);
  const victim = pids[0] ?? 0;
  const all = [...open, ...more.filter((one) => statusOf(one) === 200)];
  const lost = all.filter((one) => proxy.ownerOf(one) === victim);
  const alive = open.filter((one) => proxy.ownerOf(one) !== victim);
  const ended = lost.map(({ socket }) => new Promise((resolve) => socket.once('close', resolve)));
  for (const { socket } of all) socket.resume();
  process.kill(victim, 'SIGKILL');
  await Promise.all(ended);
  await proxy.running.says(`worker ${victim} died (SIGKILL); it is replaced now`);
  for (const one of alive) assert.equal((await roundTrips(one, 1)).length, 1);

  await until(() => proxy.workers.length === 2 && !proxy.workers.includes(victim), 'the worker is replaced');
  const fresh = proxy.workers.find((pid) => !pids.includes(pid)) ?? 0;
  const again: Traffic[] = [];
  await until(async () => {
    const one = await converse(proxy.port, connectTo(origin.target));
    if (statusOf(one) !== 200) return true;
    again.push(one);
    return false;
  }, 'a tunnel is refused');
  assert.equal(again.length, lost.length);
  // The kernel deals to the new one as soon as it listens; then it serves under the same limits.
  await until(async () => {
    again.pop()?.[Symbol.dispose]();
    const one = await converse(proxy.port, connectTo(origin.target)).catch(() => undefined);
    if (one !== undefined && statusOf(one) === 200) again.push(one);
    return one !== undefined && proxy.ownerOf(one) === fresh;
  }, 'the new worker serves a client');
});

test('a reload reaches all workers, and an invalid one none', { skip }, async () => {
  await using origin = await TrafficOrigin.listen();
  await using proxy = await TwoWorkerProxy.start();
  const asked = async () => {
    const answers = await Promise.all(Array.from({ length: 24 }, () => converse(proxy.port, connectTo(origin.target))));
    const statuses = new Map<number, Set<number>>();
    for (const one of answers) {
      const seen = statuses.get(proxy.ownerOf(one) ?? 0) ?? new Set();
      statuses.set(proxy.ownerOf(one) ?? 0, seen.add(statusOf(one)));
      one[Symbol.dispose]();
    }
    statuses.delete(0);
    return [...statuses.values()].flatMap((seen) => [...seen]);
  };
  assert.deepEqual(await asked(), [200, 200]);
  const open = await proxy.tunnels(origin, [1, 1], 'echo');
  writeFileSync(proxy.file, JSON.stringify({ access: [{ name: 'no', deny: { ports: [origin.port] } }] }));
  await proxy.running.says(/reloaded: access/);
  const refused = await Promise.all(Array.from({ length: 24 }, () => converse(proxy.port, connectTo(origin.target))));
  assert.deepEqual([...new Set(refused.map(statusOf))], [403]);

  writeFileSync(proxy.file, JSON.stringify({ access: 7 }));
  await proxy.running.says(/nothing was changed/);
  const still = await Promise.all(Array.from({ length: 24 }, () => converse(proxy.port, connectTo(origin.target))));
  assert.deepEqual([...new Set(still.map(statusOf))], [403]);
  for (const one of open) assert.equal((await roundTrips(one, 1)).length, 1);

  // A rotation: both go on in a new file.
  await until(() => proxy.log().length >= 48, 'all requests are logged');
  const log = join(proxy.folder.path, 'access.log');
  renameSync(log, `${log}.1`);
  writeFileSync(proxy.file, JSON.stringify({}));
  await proxy.running.says(/reloaded: access[\s\S]*nothing was changed[\s\S]*reloaded: access/);
  await Promise.all(
    Array.from({ length: 24 }, () =>
      converse(proxy.port, connectTo(origin.target)).then((one) => one[Symbol.dispose]()),
    ),
  );
  await until(() => proxy.log().length === 24, 'all requests are in the new log');
  assert.equal(new Set(proxy.log().map(({ id }) => id.split('-')[0])).size, 2);

  for (const one of open) one[Symbol.dispose]();
  const { code, err } = await proxy.stop();
  assert.equal(code, 0);
  // Reported once, not once for each worker.
  assert.deepEqual([err.match(/reloaded/g)?.length, err.match(/nothing was changed/g)?.length], [2, 1]);
});

test('a stop waits for the tunnels of all workers, and counts those it cuts', { skip }, async () => {
  await using origin = await TrafficOrigin.listen();
  await using proxy = await TwoWorkerProxy.start();
  const [first, ...rest] = await proxy.tunnels(origin, [2, 1], 'echo');
  proxy.running.child.kill('SIGTERM');
  await proxy.running.says('stopping: 3 open requests have');
  assert.ok(first);
  assert.equal((await roundTrips(first, 1)).length, 1);
  // A worker gets the signal a moment later; from then on no client is served any more. What tries it brings no request:
  // a tunnel that a worker still opened would rightly be counted as one that has finished.
  await until(async () => {
    const late = connect(proxy.port, '127.0.0.1');
    const isRefused = await once(late, 'connect').then(
      () => false,
      () => true,
    );
    late.destroy();
    return isRefused;
  }, 'a client that comes later is refused');
  first[Symbol.dispose]();
  // Only these tunnels have carried bytes.
  await until(() => proxy.log().some(({ bytesUp = 0 }) => bytesUp > 0), 'the tunnel that was closed is logged');
  proxy.running.child.kill('SIGTERM');
  const { code, err } = await proxy.running.ended;
  assert.equal(code, 0);
  assert.match(err, /stopped; 1 open request finished, 2 were aborted; the longest lasted [^\n]+\n$/);
  for (const one of rest) one[Symbol.dispose]();
});

test('4 MiB/s of the whole proxy are 4 MiB/s and equal parts, wherever the downloads are', { skip }, async () => {
  const measured = [
    [8, 0],
    [6, 2],
  ] as const;
  await Promise.all(
    measured.map(async (counts) => {
      await using origin = await TrafficOrigin.listen();
      await using proxy = await TwoWorkerProxy.start({ limits: { bandwidth: { rate: '4MiB' } } });
      const all = (await proxy.tunnels(origin, counts, 'flood 65536')).map((one) => counting(one).down);
      await sleep(BEGUN_MS);
      const fromMs = performance.now();
      assertExact(await partOfRate(all, 4 * MIB, 3000), `${counts}`);
      const fair = jain(all.map((one) => arrived([one], fromMs, performance.now())));
      assert.ok(fair > 0.95, `fairness ${fair} of ${counts}`);
    }),
  );
});

test('a rate of 40 MiB/s, which one process grants in long turns, is one of two processes as well', {
  skip,
}, async () => {
  await using origin = await TrafficOrigin.listen();
  await using proxy = await TwoWorkerProxy.start({ limits: { bandwidth: { rate: '40MiB' } } });
  const all = (await proxy.tunnels(origin, [3, 3], 'flood 65536')).map((one) => counting(one).down);
  await sleep(BEGUN_MS);
  assertExact(await partOfRate(all, 40 * MIB, 2000), 'six downloads');
});

test('a quota is that of the whole proxy, to the byte, and is kept by one process', { skip }, async () => {
  await using origin = await TrafficOrigin.listen();
  await using proxy = await TwoWorkerProxy.start({ limits: { quota: { per: 'client', bytes: '8MiB', every: '1d' } } });
  const all = (await proxy.tunnels(origin, [3, 3], 'flood 65536')).map(counting);
  await Promise.all(all.map(({ socket }) => new Promise((resolve) => socket.once('close', resolve))));
  // What was on its way to a client when its tunnel was reset counts, whether it arrived or not.
  const arrived = all.reduce((sum, one) => sum + one.down.total, 0);
  assert.ok(arrived + 6 * 'flood 65536\n'.length <= 8 * MIB, `${arrived} bytes arrived`);
  const passed = () => proxy.log().reduce((sum, { bytesUp = 0, bytesDown = 0 }) => sum + bytesUp + bytesDown, 0);
  await until(() => passed() === 8 * MIB, 'as many bytes have passed as the quota allows');
  const refused = await Promise.all(Array.from({ length: 8 }, () => converse(proxy.port, connectTo(origin.target))));
  assert.deepEqual([...new Set(refused.map(statusOf))], [429]);
  await proxy.stop();
  const kept: unknown = JSON.parse(readFileSync(join(proxy.folder.path, 'viaduct', 'quota.json'), 'utf8'));
  assert.match(JSON.stringify(kept), new RegExp(`"${8 * MIB}"`));
});

test('a proof of Digest is taken once by all workers together, and a client goes on with its nonce at any of them', {
  skip,
}, async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('fine')));
  using folder = temporaryFolder();
  const [line = ''] = digestLines({ user: 'alice', realm: 'viaduct', password: 'secret' });
  await using proxy = await TwoWorkerProxy.start({ clients: { users: folder.write('users', `${line}\n`) } });
  const url = `http://${origin.authority}/`;
  const ask = (more: string) =>
    converse(proxy.port, `GET ${url} HTTP/1.1\r\nHost: ${origin.authority}\r\nConnection: close\r\n${more}\r\n`);
  const [challenge] = parseChallenges([/^Proxy-Authenticate: (.*)$/m.exec((await ask('')).head)?.[1] ?? '']);
  const digest = challenge && readDigest(challenge);
  assert.ok(digest !== undefined);
  const proof = (count: number) => {
    const account = { user: 'alice', password: new Secret('secret') };
    const value = digestCredentials(digest, { method: 'GET', uri: url, count, cnonce: 'c' }, account);
    return `Proxy-Authorization: ${value}\r\n`;
  };
  // Few at a time: more at once would be taken for guesses of a password.
  const repeated: Traffic[] = [];
  for (let batch = 0; batch < 6; batch++)
    repeated.push(...(await Promise.all(Array.from({ length: 4 }, () => ask(proof(1))))));
  assert.deepEqual(repeated.map(statusOf).sort(), [200, ...Array.from({ length: 23 }, () => 407)]);
  const stale = repeated.filter(({ head }) => /^Proxy-Authenticate: Digest .*, stale=true$/m.test(head));
  assert.equal(stale.length, 23);
  for (let count = 2; count < 26; count++) assert.equal(statusOf(await ask(proof(count))), 200, `${count}`);
  await until(() => proxy.log().length === 49, 'all requests are logged');
  assert.equal(new Set(proxy.log().map(({ id }) => id.split('-')[0])).size, 2);
});

test('a wrong password is sent once, however many workers there are, and once more when SIGHUP asks for a reload', {
  skip,
}, async () => {
  await using upstream = await AuthenticatingProxy.listen(() => asks(BASIC));
  const routes = { proxy: `http://me:wrong@${upstream.origin.authority}` };
  await using proxy = await TwoWorkerProxy.start({ routes });
  const proofs = () => upstream.requests.filter(({ credentials }) => credentials !== undefined).length;
  const tryAll = async () => {
    const answers = Array.from({ length: 24 }, () => converse(proxy.port, connectTo('www.example.com:443')));
    return [...new Set((await Promise.all(answers)).map(statusOf))];
  };
  assert.deepEqual(await tryAll(), [502]);
  assert.equal(proofs(), 1);
  process.kill(proxy.workers[0] ?? 0, 'SIGKILL');
  await proxy.running.says('died (SIGKILL)');
  await until(() => proxy.workers.length === 2, 'the worker is replaced');
  assert.deepEqual(await tryAll(), [502]);
  assert.equal(proofs(), 1);
  writeFileSync(proxy.file, JSON.stringify({ routes, name: 'other' }));
  await proxy.running.says(/reloaded: name/);
  // Another setting has changed; that does not mean that the password is right.
  assert.deepEqual(await tryAll(), [502]);
  assert.equal(proofs(), 1);
  proxy.running.child.kill('SIGHUP');
  await proxy.running.says(/nothing changed/);
  assert.deepEqual(await tryAll(), [502]);
  assert.equal(proofs(), 2);
});
