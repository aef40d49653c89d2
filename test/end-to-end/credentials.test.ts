import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { credentialStore } from '../../src/credentials/credential-store.ts';
import { systemKeyring } from '../../src/credentials/keyring/keyring.ts';
import { loginFile } from '../../src/credentials/login-record.ts';
import { credentialsSchema } from '../../src/credentials/options.ts';
import { parseProxyUrl } from '../../src/protocol/routes/proxy-url.ts';
import { builtCommand } from '../support/cli.ts';
import { KEYRING_PACKAGES, TestBus, TestKeyring } from '../support/keyring.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';

const noKeyring = missing(...KEYRING_PACKAGES);
const noTerminal = missing('bsdutils');

interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the command with something on standard input, without the environment of the user who runs the tests. */
function viaduct(words: readonly string[], input: string, environment: Readonly<Record<string, string>> = {}): Said {
  const { status, stdout, stderr } = spawnSync(process.execPath, [builtCommand(), ...words], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', XDG_CONFIG_HOME: '/nonexistent', ...environment },
    input,
    encoding: 'utf8',
  });
  return { code: status, out: stdout, err: stderr };
}

/** MS-NLMP §4.2.2.1.1: the NT hash of `Password`. */
const PASSWORD_HASH = 'a4f49c406510bdcab6824ee7c30fd852';

test("-H prints alpaca's two lines, which a shell reads back", () => {
  const { code, out, err } = viaduct(['-H', '-d', 'CORP', '-u', 'me'], 'Password\n');
  assert.deepEqual([code, err], [0, '']);
  assert.deepEqual(out.split('\n'), [
    '# Add this to your ~/.profile (or equivalent) and restart your shell',
    `NTLM_CREDENTIALS="me@CORP:${PASSWORD_HASH}"; export NTLM_CREDENTIALS`,
    '',
  ]);
  const odd = viaduct(['-H', '--domain', 'CORP', '--user', 'we$ird`"'], 'Password');
  const read = execFileSync('sh', ['-c', 'eval "$(cat)"; printf %s "$NTLM_CREDENTIALS"'], { input: odd.out });
  assert.equal(read.toString(), `we$ird\`"@CORP:${PASSWORD_HASH}`);
});

test('hash prints those and the lines of cntlm; nothing but hashes comes out', () => {
  const { code, out, err } = viaduct(['hash', '--user', 'CORP\\me'], 'Password');
  assert.deepEqual([code, err], [0, '']);
  const ntlmv2 = createHmac('md5', Buffer.from(PASSWORD_HASH, 'hex')).update(Buffer.from('MECORP', 'utf16le'));
  assert.deepEqual(out.split('\n').slice(1, -1), [
    `NTLM_CREDENTIALS="me@CORP:${PASSWORD_HASH}"; export NTLM_CREDENTIALS`,
    `PassNT          ${PASSWORD_HASH.toUpperCase()}`,
    `PassNTLMv2      ${ntlmv2.digest('hex').toUpperCase()}    # Only for user 'me', domain 'CORP'`,
  ]);
  assert.doesNotMatch(out, /Password/);
});

test('hash wants a domain and a password', () => {
  for (const [words, input, complaint] of [
    [['-H'], 'x', /^viaduct: name the domain of the account with --domain[^\n]*\n$/],
    [['hash', '-u', 'me'], 'x', /^viaduct: name the domain of the account with --domain[^\n]*\n$/],
    [['hash', '-d', 'CORP', '-u', 'me'], '', /^viaduct: no password for CORP\\me[^\n]*\n$/],
  ] as const) {
    const { code, out, err } = viaduct(words, input);
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, complaint);
  }
  assert.match(viaduct(['hash', '-d', '', '-u', 'me'], 'x').out, /="me@:/);
});

test('what hash prints is a secret that a file may hold', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'corp.secret');
  writeFileSync(path, viaduct(['hash', '-d', 'CORP', '-u', 'me'], 'Password').out, { mode: 0o600 });
  const clock = new ManualClock();
  const book = credentialStore(
    { ...credentialsSchema.parse({ default: { user: 'CORP\\me', from: `file:${path}` } }), upstreams: [] },
    {
      clock,
      environment: {},
      keyring: systemKeyring({ clock, environment: {}, platform: 'linux' }),
      loginFile: undefined,
      loginName: 'x',
      prompted: new Map(),
      startedMs: clock.wallMs(),
    },
  );
  const account = await book.accountAt(parseProxyUrl('http://p:1', 'user'));
  const secret = account.at === 'known' && account.credential?.secret;
  assert.equal(secret && secret.kind === 'nt-hash' && secret.hash.reveal(), PASSWORD_HASH);
});

test('login stores, a running proxy notices, logout removes', { skip: noKeyring }, async () => {
  using folder = temporaryFolder();
  await using lab = await TestKeyring.start(folder.path);
  const environment = { ...lab.bus.environment, XDG_STATE_HOME: `${folder.path}/state` };
  const record = loginFile(`${folder.path}/state/viaduct`);
  const clock = new ManualClock();
  using _address = sessionBusIs(lab.bus.address);
  const keyring = systemKeyring({ clock, environment, platform: 'linux' });
  const parts = { clock, environment, keyring, loginFile: record, loginName: 'x', prompted: new Map(), startedMs: 0 };
  const book = credentialStore({ ...credentialsSchema.parse({}), upstreams: [] }, parts);
  const known = async () => {
    clock.advance(1000);
    const account = await book.accountAt(parseProxyUrl('http://p:1', 'user'));
    const secret = account.at === 'known' ? account.credential?.secret : undefined;
    return secret?.kind === 'password' ? secret.password.reveal() : secret?.kind;
  };
  assert.equal(await known(), undefined);

  const stored = viaduct(['login', '-d', 'CORP', '-u', 'me'], 'hünter2\n', environment);
  assert.deepEqual(stored, { code: 0, out: 'stored the password of CORP\\me in the keyring\n', err: '' });
  assert.equal(lab.look('viaduct', 'CORP\\me'), 'hünter2');
  assert.equal(statSync(record).mode & 0o777, 0o600);
  assert.doesNotMatch(readFileSync(record, 'utf8'), /nter2/);
  assert.equal(await known(), 'hünter2');

  // A hash of cntlm, as `viaduct import` advises: it is used as what it is.
  viaduct(['login', '-d', 'CORP', '-u', 'me'], `PassNT          ${PASSWORD_HASH.toUpperCase()}\n`, environment);
  assert.equal(await known(), 'nt-hash');

  const removed = viaduct(['logout', '-d', 'CORP', '-u', 'me'], '', environment);
  assert.deepEqual(removed, { code: 0, out: 'removed the password of CORP\\me\n', err: '' });
  assert.equal(lab.look('viaduct', 'CORP\\me'), '');
  assert.equal(await known(), undefined);

  const whole = viaduct(['login', 'CORP\\me'], 'hünter3\n', environment);
  assert.deepEqual(whole, stored);
  assert.equal(await known(), 'hünter3');
  assert.deepEqual(viaduct(['logout', 'CORP\\me'], '', environment), removed);
  const again = viaduct(['logout', '-d', 'CORP', '-u', 'me'], '', environment);
  assert.deepEqual(again, { code: 0, out: 'the keyring has no password of CORP\\me\n', err: '' });
});

test('login takes an account of the configuration by its name, or by a proxy where it is used', {
  skip: noKeyring,
}, async () => {
  using folder = temporaryFolder();
  await using lab = await TestKeyring.start(folder.path);
  const environment = { ...lab.bus.environment, XDG_STATE_HOME: `${folder.path}/state` };
  const config = join(folder.path, 'viaduct.yaml');
  writeFileSync(
    config,
    'credentials:\n  lab: { user: you, domain: LAB, from: keyring }\nupstreams:\n  - { host: .lab.example, credentials: lab }\n',
  );
  const stored = viaduct(['login', 'lab', '-c', config], 'pw', environment);
  assert.deepEqual(stored, { code: 0, out: 'stored the password of LAB\\you in the keyring\n', err: '' });
  assert.equal(lab.look('viaduct', 'LAB\\you'), 'pw');
  assert.doesNotMatch(readFileSync(`${folder.path}/state/viaduct/login.json`, 'utf8'), /"account"/);

  const byProxy = viaduct(['login', 'http://proxy.lab.example:8080', '-c', config], 'pw2', environment);
  assert.deepEqual(byProxy, stored);
  assert.equal(lab.look('viaduct', 'LAB\\you'), 'pw2');

  const unknown = viaduct(['login', 'lap', '-c', config], 'pw', environment);
  assert.deepEqual(unknown, { code: 2, out: '', err: 'viaduct: there is no account "lap"; did you mean lab?\n' });

  lab.lock();
  const locked = viaduct(['login', 'lab', '-c', config], 'pw', environment);
  assert.deepEqual([locked.code, locked.out], [1, '']);
  assert.match(locked.err, /^viaduct: the keyring is locked; without one, set NTLM_CREDENTIALS [^\n]*\n$/);
});

test('without a keyring login and logout say what works, and start nothing', { skip: noKeyring }, async () => {
  using folder = temporaryFolder();
  const trap = `${folder.path}/started`;
  await using bus = await TestBus.start(folder.path, { 'org.freedesktop.secrets': `/usr/bin/touch ${trap}` });
  for (const environment of [{ ...bus.environment }, { DISPLAY: ':77' }, { DBUS_SESSION_BUS_ADDRESS: 'autolaunch:' }]) {
    for (const command of ['login', 'logout']) {
      const { code, out, err } = viaduct([command, '-u', 'me'], 'hunter2', {
        ...environment,
        XDG_STATE_HOME: `${folder.path}/state`,
      });
      assert.deepEqual([code, out], [1, '']);
      assert.match(
        err,
        /^viaduct: no keyring runs in this session; without one, set NTLM_CREDENTIALS \(viaduct hash prints it\), keep the password in a file with mode 0600 [^\n]*\n$/,
      );
      assert.doesNotMatch(err, /hunter2/);
    }
  }
  assert.deepEqual(processesOf(`XDG_STATE_HOME=${folder.path}/state`), [], 'a process stayed behind');
  assert.equal(existsSync(trap), false);
  assert.equal(existsSync(`${folder.path}/state`), false);
});

test('at a terminal the password is asked for, and not shown', { skip: noTerminal || noKeyring }, async () => {
  const words = [process.execPath, builtCommand(), 'hash', '-d', 'CORP', '-u', 'me'];
  const child = spawn('script', ['-qec', words.map((word) => `'${word}'`).join(' '), '/dev/null'], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', XDG_CONFIG_HOME: '/nonexistent' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let shown = '';
  const ended = once(child, 'close');
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const isNew = !shown.includes('Password (for ');
    shown += text;
    // Nothing is typed before the question: the terminal is not in raw mode until then.
    if (isNew && shown.includes('Password (for CORP\\me): ')) child.stdin.write('Passwo\x7f\x7fword\r');
  });
  assert.deepEqual(await ended, [0, null]);
  assert.deepEqual(shown.split(/\r?\n/).slice(0, 3), [
    'Password (for CORP\\me): ',
    '# Add this to your ~/.profile (or equivalent) and restart your shell',
    `NTLM_CREDENTIALS="me@CORP:${PASSWORD_HASH}"; export NTLM_CREDENTIALS`,
  ]);
});

test('in the background of a terminal the command prints why it stops, and goes on in the foreground', {
  skip: noTerminal,
  timeout: 60_000,
}, async () => {
  const command = [process.execPath, builtCommand(), 'hash', '-d', 'CORP', '-u', 'me']
    .map((word) => `"${word}"`)
    .join(' ');
  using folder = temporaryFolder();
  const list = join(folder.path, 'jobs');
  // The shell prints when the system has stopped the job; the test decides when it may come back.
  const shell = `set -m; ${command} & until jobs > ${list}; grep -q Stopped ${list}; do sleep 0.1; done; echo IS-STOPPED; read go; fg`;
  const child = spawn('script', ['-qec', shell, '/dev/null'], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', XDG_CONFIG_HOME: '/nonexistent', SHELL: '/bin/sh' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let shown = '';
  const answers = [
    [/IS-STOPPED/, 'go\r'],
    [/Password \(for CORP\\me\): /, 'Password\r'],
  ] as const;
  let answered = 0;
  const ended = once(child, 'close');
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
    for (let next = answers[answered]; next?.[0].test(shown) === true; next = answers[answered]) {
      child.stdin.write(next[1]);
      answered += 1;
    }
  });
  assert.deepEqual(await ended, [0, null], shown);
  const why = /viaduct: Password \(for CORP\\me\) has to be typed, and this process is in the background[^\n]*fg/.exec(
    shown,
  );
  assert.ok(why !== null && why.index < shown.indexOf('IS-STOPPED'), shown);
  assert.ok(shown.includes(`NTLM_CREDENTIALS="me@CORP:${PASSWORD_HASH}"`), shown);
});

/** Numbers of the processes that have a variable in their environment, inherited or their own. */
function processesOf(variable: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(variable);
    } catch {
      return false;
    }
  });
}

/** The library reads the address from the process, as every D-Bus client does. */
function sessionBusIs(address: string): Disposable {
  const before = process.env.DBUS_SESSION_BUS_ADDRESS;
  process.env.DBUS_SESSION_BUS_ADDRESS = address;
  return {
    [Symbol.dispose]() {
      if (before === undefined) delete process.env.DBUS_SESSION_BUS_ADDRESS;
      else process.env.DBUS_SESSION_BUS_ADDRESS = before;
    },
  };
}

test('check and run name the variable that should hold a secret and is not set', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'viaduct.yaml');
  writeFileSync(file, 'port: 0\ncredentials:\n  corp: { user: me, from: "env:CORP_PW" }\n');
  const line = `${file}:3: credentials.corp.from: the environment variable CORP_PW is not set; set it where viaduct is started, or write another source of the secret\n`;
  for (const command of ['check', 'run']) {
    assert.deepEqual(viaduct([command, '-c', file], ''), { code: 2, out: '', err: line });
  }
  assert.equal(viaduct(['check', '-c', file], '', { CORP_PW: 'pw' }).code, 0);
});
