/**
 * deploy/container/: the image, without an engine. Its last stage is made of the same parts, its base of this machine's
 * libraries; the entry point runs as process 1 behind a read-only root. The long form runs the steps of the first stage, too.
 */
import assert from 'node:assert/strict';
import { chownSync, cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { stageNpm } from '../../scripts/package/npm.ts';
import { freePorts } from '../lab/daemon.ts';
import { noLab } from '../lab/private.ts';
import { isLong } from '../support/bulk.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';
import { Container, writeBase, writeStage } from './container.ts';
import { buildFirstStage } from './container-build.ts';
import { settingsOf, stagesOf } from './dockerfile.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const STAGES = stagesOf(join(ROOT, 'deploy/container/Dockerfile'));
const LAST = STAGES.at(-1);
assert.ok(LAST);
const skip = noLab() || missing('tini', 'util-linux');
const TINI = '/usr/bin/tini-static';
const [UID, GID] = settingsOf(LAST).user.split(':').map(Number);

const folder = temporaryFolder();
const root = join(folder.path, 'root');
before(() => {
  if (skip !== false) return;
  const made = join(folder.path, 'built');
  // Without the packages that only other systems and passwords need: the long form installs them.
  for (const staged of stageNpm(join(made, 'npm')))
    cpSync(staged, join(made, 'node_modules', staged.split('/').at(-1) ?? ''), { recursive: true });
  mkdirSync(join(made, 'state'), { mode: 0o700 });
  const built = new Map([
    [TINI, TINI],
    ['/usr/local/bin/node', process.execPath],
    ['/opt/viaduct/lib/node_modules', join(made, 'node_modules')],
    ['/src/deploy/container/control.mjs', join(ROOT, 'deploy/container/control.mjs')],
    ['/opt/state', join(made, 'state')],
  ]);
  writeBase(root);
  writeStage(root, LAST, (path) => built.get(path) ?? assert.fail(`the first stage does not make ${path}`));
});
after(() => folder[Symbol.dispose]());

/** A container that serves; `yaml` comes behind the listeners. */
async function serving(yaml: string, image = root) {
  const config = temporaryFolder();
  const [port = 0, admin = 0] = await freePorts(2);
  config.write(
    'viaduct.yaml',
    `listen: 127.0.0.1:${port}\nadmin: { listen: "127.0.0.1:${admin}" }\nroutes: { pac: none }\n${yaml}`,
  );
  chownSync(config.path, UID ?? 0, GID ?? 0);
  const container = Container.start({ root: image, stage: LAST ?? assert.fail(), config: config.path });
  await container.says('dashboard on ');
  return {
    container,
    port,
    async [Symbol.asyncDispose]() {
      await container[Symbol.asyncDispose]();
      config[Symbol.dispose]();
    },
  };
}

test('the container serves, its health check says so, and nothing outside of its state can be written to', {
  skip,
}, async () => {
  await using running = await serving('');
  const { container, port } = running;
  await using origin = await RawOrigin.listen(echo);
  using client = await rawClient(port);
  client.send(connectTo(origin.authority));
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 200 /);
  assert.deepEqual(await container.healthCheck(), { code: 0, out: '', err: '' });
  const write = (path: string) =>
    `try { fs.writeFileSync('${path}', ''); console.log('written') } catch (e) { console.log(e.code) }`;
  const tried = await container.exec(
    '/usr/bin/node',
    '-e',
    `${write('/tmp/a')};${write('/etc/viaduct/a')};${write('/var/lib/viaduct/a')}`,
  );
  assert.deepEqual(tried.out.split('\n'), ['EROFS', 'EROFS', 'written', '']);
  const status = readFileSync(`/proc/${container.init}/status`, 'utf8');
  assert.match(status, new RegExp(`^Uid:\\t${UID}\\t${UID}\\t${UID}\\t${UID}$`, 'm'));
  assert.match(status, /^CapEff:\t0+$/m);
  assert.match(status, /^NoNewPrivs:\t1$/m);
});

test('process 1 passes SIGTERM on: the health check fails while the proxy drains, and the exit code is 0', {
  skip,
}, async () => {
  await using running = await serving('timeouts: { drainDelay: 60s, drain: 60s }\n');
  const { container, port } = running;
  await using origin = await RawOrigin.listen(echo);
  using client = await rawClient(port);
  client.send(connectTo(origin.authority));
  await client.until('\r\n\r\n');
  container.kill('SIGTERM');
  await container.says('stopping: 1 open request');
  const health = await container.healthCheck();
  assert.deepEqual([health.code, health.err], [1, 'control: it answers 503\n']);
  // It serves for another minute; a second signal is the end of that.
  using late = await rawClient(port);
  late.send(connectTo(origin.authority));
  assert.match(await late.until('\r\n\r\n'), /^HTTP\/1\.1 200 /);
  container.kill('SIGTERM');
  assert.deepEqual(await container.ended, [0, null]);
});

test('the drain of preStop is followed by a signal, and begins only once', { skip }, async () => {
  await using running = await serving('timeouts: { drainDelay: 1s, drain: 60s }\n');
  const { container } = running;
  const drained = await container.exec('/usr/bin/node', '/usr/lib/viaduct/control.mjs', 'drain');
  assert.deepEqual(drained, { code: 0, out: '', err: '' });
  await container.says('stopping: new connections are served for 1.00 s more');
  assert.equal((await container.healthCheck()).code, 1);
  container.kill('SIGTERM');
  assert.deepEqual(await container.ended, [0, null]);
  assert.equal(container.err.match(/stopping: new connections/g)?.length, 1);
});

test('process 1 reaps what a program leaves behind', { skip }, async () => {
  await using running = await serving('');
  const { container } = running;
  // Its parent ends first, so that the kernel gives it to process 1.
  const orphan = `require('node:child_process').spawn(process.execPath, ['-e', 'setTimeout(() => {}, 300)'], { stdio: 'ignore', detached: true }).unref()`;
  const { code } = await container.exec('/usr/bin/node', '-e', orphan);
  assert.equal(code, 0);
  const children = (): string[] =>
    readFileSync(`/proc/${container.init}/task/${container.init}/children`, 'latin1').trim().split(' ');
  await until(() => children().length === 1, 'process 1 has Viaduct alone');
  const [viaduct] = children();
  assert.match(readFileSync(`/proc/${viaduct}/status`, 'utf8'), /^State:\t[RS] /m);
  assert.ok(readdirSync(`/proc/${viaduct}/task`).length > 1);
});

test('a configuration that is not there ends the container with code 2 and the reason', { skip }, async () => {
  const config = temporaryFolder();
  await using container = Container.start({ root, stage: LAST ?? assert.fail(), config: config.path });
  assert.deepEqual(await container.ended, [2, null]);
  assert.match(container.err, /\/etc\/viaduct\/viaduct\.yaml/);
  config[Symbol.dispose]();
});

if (isLong)
  test('the steps of the first stage make what the last one copies, and an image of that checks passwords', {
    skip: skip || missing('git', 'curl', 'apache2-utils', 'g++'),
    timeout: 900_000,
  }, async () => {
    const [first] = STAGES;
    const kept = join(folder.path, 'kept');
    buildFirstStage({ context: ROOT, first: first ?? assert.fail(), last: LAST, into: kept });
    const image = join(folder.path, 'image');
    writeBase(image);
    writeStage(image, LAST, (path) => join(kept, path));
    const { out: line } = await run('htpasswd', ['-nbB', 'alice', 'secret']);
    const [, hash = ''] = line.trim().split(':');
    // bcrypt is an addon among the packages that npm has installed.
    await using running = await serving(`clients: { users: { alice: "${hash}" } }\n`, image);
    await using origin = await RawOrigin.listen(answering(() => ok('through the image')));
    const ask = (login: string) =>
      run('curl', ['-s', '-x', `http://${login}@127.0.0.1:${running.port}`, `http://${origin.authority}/`]);
    assert.equal((await ask('alice:secret')).out, 'through the image');
    assert.notEqual((await ask('alice:wrong')).out, 'through the image');
    assert.match(running.container.err, /^relay: native$/m);
  });
