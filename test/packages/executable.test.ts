import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  globSync,
  mkdirSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { hasNodeOfMajor } from '../../scripts/other-nodes.ts';
import { buildExecutable } from '../../scripts/package/executable.ts';
import { buildDeb, buildRpm } from '../../scripts/package/linux.ts';
import { isLong } from '../support/bulk.ts';
import { isInstalled } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

const skip =
  process.platform !== 'linux'
    ? 'built on Linux here; the release workflow builds it elsewhere'
    : process.env.CI === 'true' || hasNodeOfMajor(26)
      ? false
      : 'CI=true brings Node 26 by npm';
const folder = temporaryFolder();
let executable = '';
before(
  () => {
    if (skip === false) executable = buildExecutable(folder.path);
  },
  { timeout: 120_000 },
);
after(() => folder[Symbol.dispose]());

/** Only the long form needs these, so CI does not install them. */
const without = (command: string) =>
  isInstalled({ name: command, command }) ? false : `${command} is missing here; apt-get install lintian rpm`;

/** A user without rights, where this process may become one. */
const OTHER_USER = 65534;

test('copied alone into the empty home of another user it serves, with workers, PAC, passwords and the addon', {
  skip,
  timeout: 120_000,
}, async () => {
  const home = join(folder.path, 'home');
  mkdirSync(home);
  chmodSync(folder.path, 0o755);
  const program = join(home, 'viaduct');
  copyFileSync(executable, program);
  const isRoot = process.getuid?.() === 0;
  const users = folder.write('users', 'alice:$2y$05$b5lz86GlM7vHKNvxsIQEzecOX3DOMgSXBU3kOM/4CGZvCCz4Zyusu\n');
  const pac = folder.write('proxy.pac', 'function FindProxyForURL() { return "DIRECT"; }');
  for (const path of [users, pac]) chmodSync(path, 0o644);
  if (isRoot) for (const path of [home, program]) chownSync(path, OTHER_USER, OTHER_USER);
  const start = (words: readonly string[]) =>
    spawn(program, words, {
      cwd: home,
      env: { HOME: home, PATH: '/usr/bin:/bin' },
      ...(isRoot ? { uid: OTHER_USER, gid: OTHER_USER } : {}),
    });
  const words = [
    '--port',
    '0',
    '--admin',
    'localhost:0',
    '--workers',
    '2',
    '--pac',
    pac,
    '--auth',
    users,
    '--relay',
    'native',
  ];
  const child = start(words);
  const ended = once(child, 'close');
  let said = '';
  const { promise: serving, resolve } = Promise.withResolvers<void>();
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (said.includes('dashboard on ')) resolve();
  });
  await Promise.race([serving, ended]);
  const port = /^listening on http:\/\/127\.0\.0\.1:(\d+)$/m.exec(said)?.[1];
  // PAC and passwords: two addons and a thread answer for that.
  const origin = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1');
  await once(origin, 'listening');
  const address = origin.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`;
  const ask = (user: string) =>
    run('curl', ['-s', '-w', ' %{http_code}', '--noproxy', '', '-U', user, '-x', `127.0.0.1:${port}`, url]);
  assert.equal((await ask('alice:secret')).out, 'hello 200', said);
  assert.match((await ask('alice:wrong')).out, / 407$/);
  origin.close();
  const dashboard = /^dashboard on (\S+?)(?:;.*)?$/m.exec(said)?.[1] ?? '';
  assert.match(await (await fetch(dashboard)).text(), /<title>/);
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null], said);

  const [unpacked = ''] = globSync(`${home}/.cache/viaduct/program-*`);
  assert.equal(statSync(unpacked).mode & 0o777, 0o700);
  // What another program has changed there is not run.
  const command = join(unpacked, 'dist/command.js');
  const before = readFileSync(command);
  appendFileSync(command, 'process.exit(9)');
  const checked = start(['check', '--port', '1234']);
  assert.deepEqual(await once(checked, 'close'), [0, null]);
  assert.deepEqual(readFileSync(command), before);
});

if (isLong) {
  test('the package for Debian has no errors, installs, runs and is removed without a trace', {
    skip: skip || without('lintian'),
    timeout: 300_000,
  }, async () => {
    const deb = buildDeb(executable, folder.path);
    const lint = await run('lintian', ['--fail-on', 'error', '--allow-root', deb]);
    assert.equal(lint.code, 0, `${lint.out}${lint.err}`);
    const root = join(folder.path, 'root');
    mkdirSync(join(root, 'var/lib/dpkg/info'), { recursive: true });
    mkdirSync(join(root, 'var/lib/dpkg/updates'));
    for (const name of ['status', 'available']) folder.write(`root/var/lib/dpkg/${name}`, '');
    const dpkg = (...words: string[]) =>
      run('dpkg', [`--root=${root}`, '--force-depends', '--log=/dev/null', ...words]);
    const installed = await dpkg('--install', deb);
    assert.equal(installed.code, 0, installed.err);
    const version = await run(join(root, 'usr/bin/viaduct'), ['--version'], { environment: { HOME: folder.path } });
    assert.match(version.out, /^viaduct \d/);
    assert.equal((await dpkg('--purge', 'viaduct')).code, 0);
    assert.deepEqual(globSync('usr/**/*viaduct*', { cwd: root }), []);
  });

  test('the package for Fedora holds the same files', {
    skip: skip || without('rpmbuild'),
    timeout: 300_000,
  }, async () => {
    const rpm = buildRpm(executable, folder.path);
    const { out } = await run('rpm', ['-qpl', rpm]);
    assert.deepEqual(out.trim().split('\n'), [
      '/usr/bin/viaduct',
      '/usr/lib/systemd/system/viaduct.service',
      '/usr/lib/systemd/system/viaduct.socket',
      '/usr/lib/systemd/user/viaduct.service',
      '/usr/lib/systemd/user/viaduct.socket',
      '/usr/share/bash-completion/completions/viaduct',
      '/usr/share/doc/viaduct/examples/viaduct.yaml',
      '/usr/share/fish/vendor_completions.d/viaduct.fish',
      '/usr/share/man/man1/viaduct.1.gz',
      '/usr/share/zsh/site-functions/_viaduct',
    ]);
  });
}
