import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { canSharePorts } from '../../src/cluster/ports.ts';
import { type Running, viaduct } from '../support/cli.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { childrenOf } from '../support/processes.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { converse } from '../support/traffic.ts';

const skipOnWindows = process.platform === 'win32' && 'Windows has no SIGUSR2';
const skipWithoutWorkers =
  process.platform !== 'linux' || !(await canSharePorts()) ? 'ports cannot be shared here' : false;

const get = (target: string, path = '/', ...fields: string[]): string =>
  `GET http://${target}${path} HTTP/1.1\r\nHost: ${target}\r\n${fields.map((field) => `${field}\r\n`).join('')}Connection: close\r\n\r\n`;

/** Asks until `isTrue`, as the state of another process cannot be waited for. Fails after 5 s. */
async function until(isTrue: () => boolean, what: string): Promise<void> {
  for (let tries = 0; !isTrue(); tries++) {
    assert.ok(tries < 250, what);
    await sleep(20);
  }
}

interface Started extends Disposable {
  readonly running: Running;
  readonly port: number;
  readonly folder: string;
  readonly log: string;
  readonly config: string;
}

async function start(settings: object, ...flags: string[]): Promise<Started> {
  const folder = temporaryFolder();
  const config = join(folder.path, 'viaduct.json');
  writeFileSync(config, JSON.stringify(settings));
  const words = ['-c', config, '-l', '127.0.0.1', '-p', '0', '--pac', 'none', '--log', 'json', ...flags];
  const log = join(folder.path, 'access.log');
  const running = viaduct([...words, '--log-file', log], { XDG_STATE_HOME: folder.path });
  const said = await running.says(/listening on [^\n]+\n/);
  return {
    running,
    port: Number(/:(\d+)\n/.exec(said)?.[1]),
    folder: folder.path,
    log,
    config,
    [Symbol.dispose]() {
      running[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
}

const linesOf = (file: string): { id: string }[] =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
    : [];

for (const workers of ['1', '2']) {
  const skip = workers === '1' ? skipOnWindows : skipWithoutWorkers;
  test(`SIGUSR2 begins a new log file after logrotate has moved the old one away (workers: ${workers})`, {
    skip,
  }, async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('hello')));
    using proxy = await start({}, '--workers', workers);
    const ask = async () => (await converse(proxy.port, get(origin.authority))).head;
    for (let n = 0; n < 6; n++) assert.match(await ask(), /^HTTP\/1\.1 200 /);
    await until(() => linesOf(proxy.log).length === 6, 'six lines');
    const moved = join(proxy.folder, 'moved.log');
    renameSync(proxy.log, moved);
    // As `systemctl kill` does it, which signals every process.
    const pid = proxy.running.child.pid ?? 0;
    for (const one of workers === '1' ? [pid] : [...childrenOf(pid), pid]) process.kill(one, 'SIGUSR2');
    await until(() => existsSync(proxy.log), 'a new file');
    for (let n = 0; n < 6; n++) assert.match(await ask(), /^HTTP\/1\.1 200 /);
    await until(() => linesOf(proxy.log).length + linesOf(moved).length === 12, 'twelve lines');
    proxy.running.child.kill('SIGTERM');
    const { code } = await proxy.running.ended;
    assert.equal(code, 0);
  });

  test(`the log rotates by itself, and no line is lost or torn (workers: ${workers})`, { skip }, async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('hello')));
    using proxy = await start({ log: { maxBytes: '4KiB', keep: 500 } }, '--workers', workers);
    const asked = 300;
    for (let n = 0; n < asked; n += 20) {
      await Promise.all(Array.from({ length: 20 }, () => converse(proxy.port, get(origin.authority))));
    }
    proxy.running.child.kill('SIGTERM');
    const { code, err } = await proxy.running.ended;
    assert.equal(code, 0, err);
    const files = readdirSync(proxy.folder).filter((name) => name.startsWith('access.log'));
    assert.ok(files.length > 5, files.join(' '));
    const ids = files.flatMap((name) => linesOf(join(proxy.folder, name)).map(({ id }) => id));
    assert.equal(ids.length, asked);
    assert.equal(new Set(ids).size, asked);
    // Two workers may have looked at the size at the same time.
    const slack = workers === '1' ? 0 : 4096;
    for (const name of files) assert.ok(statSync(join(proxy.folder, name)).size <= 4096 + slack, name);
    assert.doesNotMatch(err, /rotated/);
  });

  test(`log.level: debug has a line for each step of a request, with its id (workers: ${workers})`, {
    skip,
  }, async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('hello')));
    using proxy = await start({ log: { level: 'debug' } }, '--workers', workers);
    await converse(proxy.port, get(origin.authority, '/secret?token=secret', 'Cookie: secret'));
    await until(() => linesOf(proxy.log).length === 1, 'a line');
    const id = linesOf(proxy.log)[0]?.id ?? '';
    const err = await proxy.running.says(`request ${id}: ended after`);
    const mine = err.split('\n').filter((line) => line.includes(`request ${id}:`));
    for (const step of ['GET 127.0.0.1', 'rule "', 'routes: direct', 'dials 127.0.0.1', 'connected to', 'answered 200'])
      assert.ok(
        mine.some((line) => line.includes(step)),
        `${step}\n${mine.join('\n')}`,
      );
    assert.match(mine[0] ?? '', /^viaduct: \d{4}-\d\d-\d\dT[\d:.]+Z debug request /);
    assert.doesNotMatch(err, /secret/);
    // A reload lowers it at once.
    writeFileSync(proxy.config, JSON.stringify({ log: { level: 'info' } }));
    proxy.running.child.kill('SIGHUP');
    await proxy.running.says(/reloaded: log/);
    await converse(proxy.port, get(origin.authority));
    await until(() => linesOf(proxy.log).length === 2, 'a second line');
    proxy.running.child.kill('SIGTERM');
    assert.doesNotMatch((await proxy.running.ended).err, new RegExp(`request ${linesOf(proxy.log)[1]?.id}`));
  });
}

test('log.level: error leaves out what is no error, and says where it listens', async () => {
  using proxy = await start({ log: { level: 'error' } });
  writeFileSync(proxy.config, JSON.stringify({ log: { level: 'error' }, name: 'other' }));
  proxy.running.child.kill('SIGHUP');
  await sleep(0);
  writeFileSync(proxy.config, '{ broken');
  proxy.running.child.kill('SIGHUP');
  const err = await proxy.running.says(/nothing was changed/);
  assert.doesNotMatch(err, /reloaded/);
});

test('log.maxBytes without a file is a mistake that names the key', async () => {
  const folder = temporaryFolder();
  const config = join(folder.path, 'viaduct.json');
  writeFileSync(config, JSON.stringify({ log: { maxBytes: '1MiB' } }));
  const { code, err } = await viaduct(['check', config]).ended;
  folder[Symbol.dispose]();
  assert.equal(code, 2);
  assert.match(err, /log\.maxBytes: applies to a file/);
});
