import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { viaduct, viaductEnds } from '../support/cli.ts';
import { connectTo } from '../support/requests.ts';

const folder = mkdtempSync(join(tmpdir(), 'viaduct-cli-'));
after(() => rmSync(folder, { recursive: true }));

function fileOf(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

test('ready is one line per listener on standard error, with the real port', async () => {
  using running = viaduct(['--listen', '127.0.0.1', '--port', '0']);
  const said = await running.says(/listening on [^\n]+\n/);
  assert.match(said, /^listening on http:\/\/127\.0\.0\.1:[1-9]\d*\n(relay: \w+\n)?(dashboard on http:\/\/[^\n]+\n)?$/);
  running.child.kill('SIGTERM');
  const { code, out } = await running.ended;
  assert.deepEqual([code, out], [0, '']);
});

test('-q prints nothing', async () => {
  const path = join(folder, 'quiet.sock');
  using running = viaduct(['-q', '-l', `unix:${path}`]);
  await untilAccepts(path);
  running.child.kill('SIGINT');
  const { code, err } = await running.ended;
  assert.deepEqual([code, err], [0, '']);
});

/**
 * A quiet proxy is ready when it accepts. At a path: a socket that connects to a free port may be given that very port,
 * and connect to itself.
 */
async function untilAccepts(path: string): Promise<void> {
  let accepted = false;
  while (!accepted) {
    accepted = await new Promise<boolean>((resolve) => {
      const socket = connect(path);
      socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    });
  }
}

test('a busy port is one line and exit 2', async () => {
  const busy = createServer().listen(0, '127.0.0.1');
  await once(busy, 'listening');
  const { port } = busy.address() as AddressInfo;
  const { code, out, err } = await viaductEnds(['--listen', '127.0.0.1', '--port', String(port)]);
  busy.close();
  assert.deepEqual([code, out], [2, '']);
  assert.match(err, new RegExp(`^viaduct: [^\\n]*127\\.0\\.0\\.1:${port}[^\\n]*\\n$`));
});

const WRONG: readonly (readonly [words: string, line: RegExp])[] = [
  ['--prot 1', /^viaduct: unknown flag --prot; did you mean --port\?/],
  ['chek', /^viaduct: unknown command chek; did you mean check\?/],
  ['--port', /^viaduct: --port needs a value/],
  ['--port 99999', /^viaduct: --port: is 99999; write at most 65535/],
  ['-p http', /^viaduct: --port: "http" is not a port/],
  ['-t soon', /^viaduct: --timeout: "soon" is not a duration/],
  ['--rate lots', /^viaduct: --rate: "lots" is not a rate/],
  ['--rate 0', /^viaduct: --rate: a rate of 0 would let nothing pass/],
  ['--log xml', /^viaduct: --log: is "xml"; write pretty/],
  ['-l 0.0.0.0', /^viaduct: --listen: everyone who reaches 0\.0\.0\.0 could use this proxy: add .* or set --open/],
  ['-l https://localhost', /^viaduct: --listen: .*a listener for https: needs a certificate/],
  ['--allow nowhere', /^viaduct: --allow: is neither a valid address/],
  ['--auth none.htpasswd', /^viaduct: --auth: none\.htpasswd: cannot be read: there is no such file/],
  ['-c nowhere.yaml', /^viaduct: nowhere\.yaml: cannot be read: there is no such file/],
  ['completion', /^viaduct: completion needs SHELL/],
  ['completion tcsh', /^viaduct: no completion for tcsh/],
  ['check nowhere.yaml', /^viaduct: nowhere\.yaml: cannot be read/],
];
for (const [words, line] of WRONG) {
  test(`wrong usage is one line and exit 2: viaduct ${words}`, async () => {
    const { code, out, err } = await viaductEnds(words.split(' '));
    assert.match(err, line);
    assert.match(err, /^[^\n]+\n$/);
    assert.deepEqual([code, out], [2, '']);
  });
}

test('run and check report a mistake in a file with file, line and key', async () => {
  const path = fileOf('wrong.yaml', 'listen: localhost\nlimits:\n  bandwith: []\n');
  const line = `${path}:3: limits.bandwith: no such setting; did you mean bandwidth?\n`;
  for (const words of [
    ['-c', path],
    ['check', path],
  ]) {
    const { code, err } = await viaductEnds(words);
    assert.deepEqual([code, err], [2, line]);
  }
});

test('no stack trace without -v or VIADUCT_VERBOSE', async () => {
  const words = ['why', 'http://a b/'];
  const plain = await viaductEnds(words);
  assert.doesNotMatch(plain.err, /\n\s+at /);
  for (const verbose of [await viaductEnds([...words, '-v']), await viaductEnds(words, { VIADUCT_VERBOSE: 'yes' })]) {
    assert.match(verbose.err, /\n\s+at /);
  }
});

test('--help goes to standard output and begins with what to do', async () => {
  const { code, out, err } = await viaductEnds(['--help']);
  assert.deepEqual([code, err], [0, '']);
  assert.match(
    out,
    /^Viaduct: [^\n]+\n\nExamples\n {2}viaduct +serve this machine on localhost:3128\n {2}curl -x localhost:3128 /,
  );
});

test('--version is the version', async () => {
  const { code, out } = await viaductEnds(['--version']);
  assert.equal(code, 0);
  assert.match(out, /^viaduct \d+\.\d+\.\d+\n$/);
});

test('check prints every setting and where it came from, secrets masked', async () => {
  const path = fileOf('good.yaml', 'clients:\n  users: { alice: "{SHA}TMiviCuZ0dJ1E2Y0OtYiSEIAJZQ=" }\nname: gate\n');
  const { code, out } = await viaductEnds(['check', path, '--port', '8080'], { VIADUCT_IDLE: '5m' });
  assert.equal(code, 0);
  const lines = out.split('\n').map((line) => line.replace(/ +/g, ' '));
  for (const line of [
    `clients.users.alice ••• # ${path}:2`,
    `name "gate" # ${path}:3`,
    'port 8080 # --port',
    'timeouts.idle "5m" # VIADUCT_IDLE',
    'timeouts.drain "30s" # default',
    `valid: ${path}`,
  ]) {
    assert.ok(lines.includes(line), `${line} in ${out}`);
  }
  assert.ok(!out.includes('TMivi'));
});

test('check prints the route of requests, its source, and no password of a proxy', async () => {
  const path = fileOf('ways.yaml', 'routes:\n  noProxy: [.internal]\n  pac: https://pac.corp.example/proxy.pac\n');
  const { code, out } = await viaductEnds(
    ['check', path, '-x', 'http://me:hunter2@proxy.corp.example:8080', '-proxy', 'direct', '-enable-socks'],
    { NO_PROXY: 'localhost' },
  );
  assert.equal(code, 0, out);
  const lines = out.split('\n').map((line) => line.replace(/ +/g, ' '));
  for (const line of [
    'routes.proxy ["http://me:•••@proxy.corp.example:8080", "direct"] # --proxy',
    'routes.pac "none" # --proxy',
    `routes.noProxy [".internal", "localhost"] # ${path}:2 and NO_PROXY`,
  ]) {
    assert.ok(lines.includes(line), `${line} in ${out}`);
  }
  assert.ok(!out.includes('hunter2'));
});

for (const shell of ['bash', 'zsh', 'fish', 'powershell']) {
  test(`completion for ${shell} knows commands and flags`, async () => {
    const { code, out } = await viaductEnds(['completion', shell]);
    assert.equal(code, 0);
    for (const word of ['check', 'completion', 'log-file', 'squid']) assert.ok(out.includes(word), word);
  });
}

test('bash completes commands, flags and values', async () => {
  const { out: script } = await viaductEnds(['completion', 'bash']);
  const complete = `COMP_WORDS=($1); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _viaduct; echo "\${COMPREPLY[*]}"`;
  const completed = (words: string) =>
    execFileSync('bash', ['-c', `${script}\n${complete}`, 'bash', words])
      .toString()
      .trim();
  assert.equal(completed('viaduct che'), 'check');
  assert.equal(completed('viaduct --log-f'), '--log-file');
  assert.equal(completed('viaduct --log p'), 'pretty');
  assert.equal(completed('viaduct completion f'), 'fish');
});

test('the configuration is reloaded when it is saved and on SIGHUP; a bad file changes nothing', async () => {
  const path = fileOf('live.yaml', 'listen: 127.0.0.1:0\nname: one\n');
  using running = viaduct(['-c', path]);
  await running.says('listening on ');
  fileOf('live.yaml', 'listen: 127.0.0.1:0\nname: two\n');
  await running.says(`${path}: reloaded: name\n`);
  fileOf('live.yaml', 'listen: 127.0.0.1:0\nnam: three\n');
  await running.says(`viaduct: ${path}:2: nam: no such setting; did you mean name?; nothing was changed\n`);
  fileOf('live.yaml', 'listen: 127.0.0.1:0\nname: two\n');
  await running.says(`${path}: nothing changed\n`);
  running.child.kill('SIGHUP');
  await running.says(/nothing changed\n.*nothing changed\n/);
  running.child.kill('SIGTERM');
  assert.equal((await running.ended).code, 0);
});

test('an open tunnel is drained, and a second signal cuts it and says so', async () => {
  const origin = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(origin, 'listening');
  using running = viaduct(['-l', '127.0.0.1', '-p', '0', '--log', 'off']);
  const client = connect(await running.port(), '127.0.0.1');
  client.on('error', () => {});
  const target = `127.0.0.1:${(origin.address() as AddressInfo).port}`;
  client.write(connectTo(target));
  const [head] = await once(client, 'data');
  assert.match(String(head), /^HTTP\/1\.1 200 /);
  running.child.kill('SIGTERM');
  await running.says('stopping: 1 open request has up to 30 s to finish; a second signal aborts them at once\n');
  running.child.kill('SIGTERM');
  const { code, err } = await running.ended;
  assert.equal(code, 0);
  assert.match(err, /stopped; 0 open requests finished, 1 was aborted; the longest lasted [^\n]+\n$/);
  origin.close();
});
