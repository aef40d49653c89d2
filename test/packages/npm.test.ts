import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { hasNodeOfMajor, nodeOfMajor } from '../../scripts/other-nodes.ts';
import { packNpm, stageNpm } from '../../scripts/package/npm.ts';
import { temporaryFolder } from '../support/temporary.ts';

const onLinux = process.platform === 'linux' ? false : 'the packages are built on Linux';
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** A tool of node_modules, on the Node of this process; gives its exit code and what it printed. */
function tool(script: string, ...words: string[]) {
  const done = spawnSync(process.execPath, [`${ROOT}node_modules/${script}`, ...words], { encoding: 'utf8' });
  return { code: done.status, said: `${done.stdout}${done.stderr}` };
}

test('a packed copy installs in an empty folder and runs on each Node', {
  skip: onLinux,
  timeout: 240_000,
}, async (t) => {
  using folder = temporaryFolder();
  const staged = stageNpm(join(folder.path, 'staged'));
  const packed = staged.map((one) => packNpm(one, join(folder.path, 'first')));

  await t.test('packing again gives the same bytes', () => {
    const again = stageNpm(join(folder.path, 'staged')).map((one) => packNpm(one, join(folder.path, 'second')));
    assert.deepEqual(again.map(sha256), packed.map(sha256));
  });

  await t.test('publint and Are the types wrong find nothing', () => {
    const [program = ''] = packed;
    const lint = tool('publint/src/cli.js', program, '--strict');
    assert.equal(lint.code, 0, lint.said);
    const types = tool('@arethetypeswrong/cli/dist/index.js', '--profile', 'esm-only', program);
    assert.equal(types.code, 0, types.said);
  });

  const home = join(folder.path, 'empty');
  mkdirSync(home);
  folder.write('empty/package.json', '{"private":true,"type":"module"}');
  const local = packed.filter((path) => /viaduct-(?:\d|native-linux-x64-\d)/.test(basename(path)));
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--no-package-lock'];
  const installed = spawnSync('npm', ['install', ...flags, ...local], { cwd: home, encoding: 'utf8' });
  assert.equal(installed.status, 0, installed.stderr);
  writeFileSync(
    join(home, 'program.js'),
    `import { startProxy } from 'viaduct';
     const proxy = await startProxy();
     console.log(new URL(proxy.url).hostname);
     await proxy.close();`,
  );

  for (const major of [22, 24, 26]) {
    const isAtHand = major === 24 || process.env.CI === 'true' || hasNodeOfMajor(major);
    const skip = isAtHand ? false : 'CI=true brings this Node by npm';
    await t.test(
      `on Node ${major} the command serves with the addon, and the library is a function`,
      { skip },
      async () => {
        const node = major === 24 ? process.execPath : nodeOfMajor(major);
        const env = { PATH: process.env.PATH, HOME: home, XDG_CONFIG_HOME: home };
        const command = join(home, 'node_modules/viaduct/dist/cli.js');
        const version = spawnSync(node, [command, '--version'], { env, encoding: 'utf8' });
        assert.match(version.stdout, /^viaduct \d+\.\d+\.\d+\n$/);
        const child = spawn(node, [command, '--port', '0', '--admin', 'localhost:0'], { env });
        const ended = once(child, 'close');
        let said = '';
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          said += text;
          if (said.includes('dashboard on ')) child.kill('SIGTERM');
        });
        assert.deepEqual(await ended, [0, null], said);
        assert.match(said, /^relay: native$/m);
        const program = spawnSync(node, ['program.js'], { cwd: home, env, encoding: 'utf8' });
        assert.deepEqual([program.stdout, program.stderr, program.status], ['127.0.0.1\n', '', 0]);
      },
    );
  }
});
