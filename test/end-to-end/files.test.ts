/** Files that the user names by a path: too large, without an end, or a pipe. A command reports it and ends. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { selfSigned } from '../support/certificate.ts';
import { builtCommand, viaduct, viaductEnds } from '../support/cli.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());
const at = (name: string): string => join(folder.path, name);
const write = (name: string, text: string): string => {
  writeFileSync(at(name), text);
  return at(name);
};

const skip = process.platform === 'win32' && 'Windows has no such files';

test('what is no file with an end is refused by every setting and flag that names one', {
  skip,
  timeout: 120_000,
}, async () => {
  const image = write('image', '');
  truncateSync(image, 1.5e9);
  execFileSync('mkfifo', ['-m', '600', at('pipe')]);
  const good = write('good.yaml', 'log: { format: off }\n');
  const pac = write('good.pac', 'function FindProxyForURL() { return "DIRECT"; }');
  for (const [path, why] of [
    [image, /is larger than|can be read by others/],
    [at('pipe'), /is not a (regular )?file|a pipe/],
    ['/dev/zero', /is not a (regular )?file/],
  ] as const) {
    const naming = (name: string, text: string): string[] => ['check', write(name, text.replace('PATH', path))];
    for (const words of [
      ['check', path],
      ['run', '-c', path, '-p', '0'],
      ['why', '-c', path, 'http://a.example/'],
      ['check', '-c', good, '--auth', path],
      naming('users.yaml', 'clients: { users: PATH }\n'),
      naming('secret.yaml', 'credentials: { corp: { user: me, from: "file:PATH" } }\n'),
      naming('ca.yaml', 'upstreams: [{ host: a.example, ca: PATH }]\n'),
      ['import', path],
      ['pac', pac, 'http://a.example/', '--world', path],
    ]) {
      const { code, out, err } = await viaductEnds(words);
      assert.equal(code, 2, `${words.join(' ')}: ${out}${err}`);
      assert.match(err, why, words.join(' '));
      assert.equal(err.trimEnd().split('\n').length, 1, err);
    }
    const { code, err } = await viaductEnds(['pac', path, 'http://a.example/']);
    assert.equal(code, 1, path);
    assert.match(err, why);
  }
});

test('a configuration from a pipe of the shell is read, once', { skip, timeout: 60_000 }, async () => {
  const script = 'exec "$0" "$1" check -c <(sleep 0.1; echo "port: 0"; echo "name: from-a-pipe")';
  const { code, out, err } = await run('bash', ['-c', script, process.execPath, builtCommand()]);
  assert.equal(code, 0, err);
  assert.match(out, /^name +"from-a-pipe" /m);
  const empty = await viaductEnds(['check', '-c', '/dev/null']);
  assert.equal(empty.code, 0, empty.err);
  // A reload has nothing to read any more: it reports that at once, and the proxy serves on.
  execFileSync('mkfifo', [at('once')]);
  spawn('sh', ['-c', 'echo "port: 0" > "$1"', 'sh', at('once')], { stdio: 'ignore' });
  using running = viaduct(['run', '-c', at('once'), '--listen', '127.0.0.1']);
  await running.says(/listening on .*\n/);
  running.child.kill('SIGHUP');
  await running.says(/once: cannot be read: it is not a regular file but a pipe, .*; nothing was changed\n/);
});

test('a path that cannot be meant is a mistake of the configuration, for check and run alike', { skip }, async () => {
  mkdirSync(at('folder'));
  for (const [setting, path, why] of [
    [
      'log: { format: json, file: PATH }',
      'none/access.log',
      'cannot be written: there is no folder .*none; make it first',
    ],
    ['log: { format: json, file: PATH }', 'folder', 'is a folder; write the path of a file in it'],
    ['limits: { state: PATH }', 'folder', 'is a folder; write the path of a file'],
    ['listen: "unix:PATH"', 'none/socket', 'cannot be written: there is no folder .*none; make it first'],
    ['listen: ["unix:PATH"]', 'folder', 'is a folder; write the path of a file in it'],
    ['routes: { pac: PATH }', 'folder', 'is a folder; write the path of a PAC'],
  ] as const) {
    const config = write('wrong-path.yaml', `# where\n${setting.replace('PATH', path)}\n`);
    for (const command of ['check', 'run']) {
      const { code, out, err } = await viaductEnds([command, '-c', config]);
      assert.deepEqual([code, out], [2, ''], `${setting} ${err}`);
      assert.match(err, new RegExp(`^${config}:2: [a-z.]+: ${at(path)} ${why}\\n$`), setting);
    }
  }
});

test('a log file that this user may not write ends the start with exit 2', {
  skip: process.platform !== 'linux' && 'only Linux has /proc, where not even root can make a file',
}, async () => {
  const config = write('log.yaml', 'log: { format: json, file: /proc/access.log }\n');
  const { code, err } = await viaductEnds(['run', '-p', '0', '-c', config]);
  assert.equal(code, 2, err);
  assert.match(err, /^viaduct: log\.file: \/proc\/access\.log cannot be written: .*\n$/);
  const workers = await viaductEnds(['run', '-p', '0', '-c', config, '--workers', '2']);
  assert.equal(workers.code, 2, workers.err);
  assert.doesNotMatch(workers.err, /internal/);
});

test('every text file is read as editors of Windows write it', { timeout: 120_000 }, async () => {
  const asWritten: readonly (readonly [string, (text: string) => Buffer])[] = [
    ['UTF-16', (text) => Buffer.from(`\ufeff${text}`, 'utf16le')],
    ['UTF-16 without a mark', (text) => Buffer.from(text, 'utf16le')],
    ['UTF-8 with a mark', (text) => Buffer.from(`\ufeff${text}`)],
    ['ANSI', (text) => Buffer.from(text, 'latin1')],
  ];
  for (const [encoding, bytesOf] of asWritten) {
    const written = (name: string, text: string): string => {
      writeFileSync(at(name), bytesOf(text.replaceAll('\n', '\r\n')), { mode: 0o600 });
      return at(name);
    };
    const pac = written('windows.pac', '// für alle\nfunction FindProxyForURL() {\n  return "PROXY p:1"; }\n');
    written('windows.htpasswd', '# für alle\nmüller:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n');
    written('windows.secret', 'pässwort\n');
    written('windows.pem', `für alle\n${selfSigned(['p.example']).cert}`);
    const config = written(
      'windows.yaml',
      `# für alle
clients: { users: windows.htpasswd }
access: [{ name: für, allow: { users: [müller] } }]
credentials: { corp: { user: me, from: "file:windows.secret" } }
upstreams: [{ host: p.example, ca: windows.pem }]
routes: { pac: windows.pac }
`,
    );
    const { code, out, err } = await viaductEnds(['check', config]);
    assert.deepEqual([code, err], [0, ''], encoding);
    assert.match(out, /^access\[0\] +\{"name": "für", "allow":\{"users":\["müller"\]\}\}/m, encoding);
    const answered = await viaductEnds(['pac', pac, 'http://a.example/']);
    assert.match(answered.out, /PROXY p:1/, encoding + answered.err);
    const world = written('windows.json', '{ "myIp": "10.1.2.3",\n "dns": {} }\n');
    const pinned = await viaductEnds(['pac', pac, 'http://a.example/', '--world', world]);
    assert.equal(pinned.code, 0, encoding + pinned.err);
  }
});

test('a password that Windows pipes in is the same password', async () => {
  const hash = async (input: Buffer): Promise<string> => {
    const command = viaductWithInput(['hash', '--user', 'CORP\\me'], input);
    return (await command).out;
  };
  const expected = await hash(Buffer.from('pässĊwort\n'));
  assert.match(expected, /^PassNT +[0-9A-F]{32}$/m);
  assert.equal(await hash(Buffer.from('\ufeffpässĊwort\r\nmore\r\n')), expected);
  assert.equal(await hash(Buffer.from('\ufeffpässĊwort\r\nmore\r\n', 'utf16le')), expected);
});

function viaductWithInput(words: readonly string[], input: Buffer): ReturnType<typeof run> {
  return run(process.execPath, [builtCommand(), ...words], { input: input.toString('latin1') });
}
