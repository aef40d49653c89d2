import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { canSharePorts } from '../../src/workers/ports.ts';
import { AskingParent, asks, BASIC } from '../support/asking-parent.ts';
import { type Running, viaduct, viaductEnds } from '../support/cli.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { childrenOf, ownerOf } from '../support/processes.ts';
import { jain } from '../support/takers.ts';
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

const MIB = 1024 * 1024;
const isLinux = process.platform === 'linux';
const skip = !isLinux || !(await canSharePorts()) ? 'ports cannot be shared here' : false;

const connectTo = (target: string, ...fields: string[]): string =>
  `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;
const get = (target: string): string =>
  `GET http://${target}/ HTTP/1.1\r\nHost: ${target}\r\nConnection: close\r\n\r\n`;
const statusOf = ({ head }: Traffic): number => Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);

/** Asks until `isTrue`, as the state of another process cannot be waited for. Fails after 5 s. */
async function until(isTrue: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; !(await isTrue()); tries++) {
    assert.ok(tries < 250, what);
    await sleep(20);
  }
}

/** A proxy with two workers and a configuration file of its own. */
class Crew implements AsyncDisposable {
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

  static async start(settings: object = {}): Promise<Crew> {
    const folder = temporaryFolder();
    const file = join(folder.path, 'viaduct.json');
    writeFileSync(file, JSON.stringify(settings));
    const words = ['-c', file, '--workers', '2', '-l', '127.0.0.1', '-p', '0', '--pac', 'none'];
    const running = viaduct([...words, '--log', 'json', '--log-file', join(folder.path, 'access.log')], {
      XDG_STATE_HOME: folder.path,
    });
    const said = await running.says(/listening on [^\n]+\n/);
    return new Crew(running, Number(/:(\d+)\n/.exec(said)?.[1]), folder);
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
    while ([...missing.values()].some((count) => count > 0)) {
      const one = await converse(this.port, connectTo(origin.target));
      assert.equal(statusOf(one), 200);
      const owner = this.ownerOf(one) ?? 0;
      const left = missing.get(owner) ?? 0;
      if (left === 0) {
        one[Symbol.dispose]();
        continue;
      }
      missing.set(owner, left - 1);
      kept.push(one);
    }
    for (const { socket } of kept) socket.write(`${wish}\n`);
    return kept;
  }

  log(): { id: string; status: number; bytesUp?: number; bytesDown?: number }[] {
    const text = readFileSync(join(this.folder.path, 'access.log'), 'utf8');
    assert.ok(text === '' || text.endsWith('\n'));
    return text
      .split('\n')
      .filter(Boolean)
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
  await using crew = await Crew.start();
  const said = await crew.running.says('listening on');
  assert.equal(said.match(/listening on/g)?.length, 1);
  const pids = crew.workers;
  assert.equal(pids.length, 2);

  const answers = await Promise.all(Array.from({ length: 60 }, () => converse(crew.port, get(origin.authority))));
  assert.deepEqual([...new Set(answers.map(statusOf))], [200]);
  const names = new Set(answers.map(({ head }) => /^via: 1\.1 (\S+)$/im.exec(head)?.[1]));
  assert.equal(names.size, 1);

  // Whichever worker a request comes back to, it has been here.
  const [name] = names;
  const loops = await Promise.all(
    Array.from({ length: 20 }, () => converse(crew.port, connectTo(origin.authority, `Via: 1.1 ${name}`))),
  );
  assert.deepEqual([...new Set(loops.map(statusOf))], [508]);
  await until(() => crew.log().length === 80, 'lines are missing');
  const ids = crew.log().map(({ id }) => id);
  assert.equal(new Set(ids).size, 80);
  const workersOf = (lines: { id: string }[]) => new Set(lines.map(({ id }) => id.split('-')[0])).size;
  assert.equal(workersOf(crew.log().filter(({ status }) => status === 200)), 2);
  assert.equal(workersOf(crew.log().filter(({ status }) => status === 508)), 2);

  const second = await viaductEnds(['--workers', '2', '-l', '127.0.0.1', '-p', String(crew.port), '--pac', 'none']);
  assert.equal(second.code, 2);
  assert.match(
    second.err,
    new RegExp(`^viaduct: [^\\n]*127\\.0\\.0\\.1:${crew.port}[^\\n]*another program[^\\n]*\\n$`),
  );
  const { code, err } = await crew.stop();
  assert.deepEqual([code, err.includes('died')], [0, false]);
});

test('a worker that is killed is replaced, and only its own tunnels end and give their places back', {
  skip,
}, async () => {
  await using origin = await TrafficOrigin.listen();
  await using crew = await Crew.start({ limits: { tunnels: { total: 10, wait: 0 } } });
  const pids = crew.workers;
  const open = await crew.tunnels(origin, [4, 4], 'echo');
  const more = await Promise.all(Array.from({ length: 12 }, () => converse(crew.port, connectTo(origin.target))));
  assert.deepEqual(more.map(statusOf).sort(), [200, 200, ...Array.from({ length: 10 }, () => 503)]);
  const victim = pids[0] ?? 0;
  const all = [...open, ...more.filter((one) => statusOf(one) === 200)];
  const lost = all.filter((one) => crew.ownerOf(one) === victim);
  const alive = open.filter((one) => crew.ownerOf(one) !== victim);
  const ended = lost.map(({ socket }) => new Promise((resolve) => socket.once('close', resolve)));
  for (const { socket } of all) socket.resume();
  process.kill(victim, 'SIGKILL');
  await Promise.all(ended);
  await crew.running.says(`worker ${victim} died (SIGKILL); another takes its place now`);
  for (const one of alive) assert.equal((await roundTrips(one, 1)).length, 1);

  await until(() => crew.workers.length === 2 && !crew.workers.includes(victim), 'nobody takes its place');
  const fresh = crew.workers.find((pid) => !pids.includes(pid)) ?? 0;
  const again: Traffic[] = [];
  await until(async () => {
    const one = await converse(crew.port, connectTo(origin.target));
    if (statusOf(one) !== 200) return true;
    again.push(one);
    return false;
  }, 'there is no end of places');
  assert.equal(again.length, lost.length);
  // The kernel deals to the new one as soon as it listens; then it serves under the same limits.
  await until(async () => {
    again.pop()?.[Symbol.dispose]();
    const one = await converse(crew.port, connectTo(origin.target)).catch(() => undefined);
    if (one !== undefined && statusOf(one) === 200) again.push(one);
    return one !== undefined && crew.ownerOf(one) === fresh;
  }, 'the new worker serves nobody');
});

test('a reload reaches all workers, and an invalid one none', { skip }, async () => {
  await using origin = await TrafficOrigin.listen();
  await using crew = await Crew.start();
  const asked = async () => {
    const answers = await Promise.all(Array.from({ length: 24 }, () => converse(crew.port, connectTo(origin.target))));
    const statuses = new Map<number, Set<number>>();
    for (const one of answers) {
      const seen = statuses.get(crew.ownerOf(one) ?? 0) ?? new Set();
      statuses.set(crew.ownerOf(one) ?? 0, seen.add(statusOf(one)));
      one[Symbol.dispose]();
    }
    statuses.delete(0);
    return [...statuses.values()].flatMap((seen) => [...seen]);
  };
  assert.deepEqual(await asked(), [200, 200]);
  const open = await crew.tunnels(origin, [1, 1], 'echo');
  writeFileSync(crew.file, JSON.stringify({ access: [{ name: 'no', deny: { ports: [origin.port] } }] }));
  await crew.running.says(/reloaded: access/);
  const refused = await Promise.all(Array.from({ length: 24 }, () => converse(crew.port, connectTo(origin.target))));
  assert.deepEqual([...new Set(refused.map(statusOf))], [403]);

  writeFileSync(crew.file, JSON.stringify({ access: 7 }));
  await crew.running.says(/nothing was changed/);
  const still = await Promise.all(Array.from({ length: 24 }, () => converse(crew.port, connectTo(origin.target))));
  assert.deepEqual([...new Set(still.map(statusOf))], [403]);
  for (const one of open) assert.equal((await roundTrips(one, 1)).length, 1);

  // A rotation: both go on in a new file.
  await until(() => crew.log().length >= 48, 'lines are missing');
  const log = join(crew.folder.path, 'access.log');
  renameSync(log, `${log}.1`);
  writeFileSync(crew.file, JSON.stringify({}));
  await crew.running.says(/reloaded: access[\s\S]*nothing was changed[\s\S]*reloaded: access/);
  await Promise.all(
    Array.from({ length: 24 }, () =>
      converse(crew.port, connectTo(origin.target)).then((one) => one[Symbol.dispose]()),
    ),
  );
  await until(() => crew.log().length === 24, 'the new log is not whole');
  assert.equal(new Set(crew.log().map(({ id }) => id.split('-')[0])).size, 2);

  for (const one of open) one[Symbol.dispose]();
  const { code, err } = await crew.stop();
  assert.equal(code, 0);
  // Told once, not once for each worker.
  assert.deepEqual([err.match(/reloaded/g)?.length, err.match(/nothing was changed/g)?.length], [2, 1]);
});

test('a stop waits for the tunnels of all workers, and counts those it cuts', { skip }, async () => {
  await using origin = await TrafficOrigin.listen();
  await using crew = await Crew.start();
  const [first, ...rest] = await crew.tunnels(origin, [2, 1], 'echo');
  crew.running.child.kill('SIGTERM');
  await crew.running.says('stopping: 3 open requests have');
  assert.ok(first);
  assert.equal((await roundTrips(first, 1)).length, 1);
  // A worker hears of it a moment later; from then on nobody is served any more.
  await until(async () => {
    const late = await converse(crew.port, connectTo(origin.target)).catch(() => undefined);
    late?.[Symbol.dispose]();
    return late === undefined || statusOf(late) !== 200;
  }, 'who comes later is served');
  first[Symbol.dispose]();
  await sleep(50);
  crew.running.child.kill('SIGTERM');
  const { code, err } = await crew.running.ended;
  assert.equal(code, 0);
  assert.match(err, /stopped; 2 open requests were cut\n$/);
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
      await using crew = await Crew.start({ limits: { bandwidth: { rate: '4MiB' } } });
      const all = (await crew.tunnels(origin, counts, 'flood 65536')).map((one) => counting(one).down);
      await sleep(700);
      const fromMs = performance.now();
      assertExact(await partOfRate(all, 4 * MIB, 3000), `${counts}`);
      const fair = jain(all.map((one) => arrived([one], fromMs, performance.now())));
      assert.ok(fair > 0.95, `fairness ${fair} of ${counts}`);
    }),
  );
});

test('a quota is that of the whole proxy, to the byte, and is kept by one process', { skip }, async () => {
  await using origin = await TrafficOrigin.listen();
  await using crew = await Crew.start({ limits: { quota: { per: 'client', bytes: '8MiB', every: '1d' } } });
  const all = (await crew.tunnels(origin, [3, 3], 'flood 65536')).map(counting);
  await Promise.all(all.map(({ socket }) => new Promise((resolve) => socket.once('close', resolve))));
  // What was on its way to a client when its tunnel was reset counts, whether it arrived or not.
  const arrived = all.reduce((sum, one) => sum + one.down.total, 0);
  assert.ok(arrived + 6 * 'flood 65536\n'.length <= 8 * MIB, `${arrived} bytes arrived`);
  const passed = () => crew.log().reduce((sum, { bytesUp = 0, bytesDown = 0 }) => sum + bytesUp + bytesDown, 0);
  await until(() => passed() === 8 * MIB, 'other bytes have passed than the quota allows');
  const refused = await Promise.all(Array.from({ length: 8 }, () => converse(crew.port, connectTo(origin.target))));
  assert.deepEqual([...new Set(refused.map(statusOf))], [429]);
  await crew.stop();
  const kept: unknown = JSON.parse(readFileSync(join(crew.folder.path, 'viaduct', 'quota.json'), 'utf8'));
  assert.match(JSON.stringify(kept), new RegExp(`"${8 * MIB}"`));
});

test('a wrong password is sent once, however many workers there are, and once more after a reload', {
  skip,
}, async () => {
  await using parent = await AskingParent.listen(() => asks(BASIC));
  const routes = { proxy: `http://me:wrong@${parent.origin.authority}` };
  await using crew = await Crew.start({ routes });
  const proofs = () => parent.asked.filter(({ credentials }) => credentials !== undefined).length;
  const tryAll = async () => {
    const answers = Array.from({ length: 24 }, () => converse(crew.port, connectTo('www.example.com:443')));
    return [...new Set((await Promise.all(answers)).map(statusOf))];
  };
  assert.deepEqual(await tryAll(), [502]);
  assert.equal(proofs(), 1);
  process.kill(crew.workers[0] ?? 0, 'SIGKILL');
  await crew.running.says('died (SIGKILL)');
  await until(() => crew.workers.length === 2, 'nobody takes its place');
  assert.deepEqual(await tryAll(), [502]);
  assert.equal(proofs(), 1);
  writeFileSync(crew.file, JSON.stringify({ routes, name: 'other' }));
  await crew.running.says(/reloaded: name/);
  assert.deepEqual(await tryAll(), [502]);
  assert.equal(proofs(), 2);
});
