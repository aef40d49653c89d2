import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Environment } from './environment.ts';
import type { FlagValue } from './flags.ts';
import { FLAGS } from './flags.ts';
import { ConfigError } from './problems.ts';
import { settingsInForce } from './provenance.ts';
import { type LoadedConfig, load } from './sources.ts';

const folder = mkdtempSync(join(tmpdir(), 'viaduct-'));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
function fileOf(text: string): string {
  const path = join(folder, `${++files}.yaml`);
  writeFileSync(path, text);
  return path;
}

function flag(name: string, text = ''): FlagValue {
  const found = FLAGS.find((one) => one.name === name);
  assert.ok(found, name);
  return { flag: found, text, label: `--${name}` };
}

/** Nothing of the machine's own: its home might hold a configuration. */
const loaded = (flags: readonly FlagValue[], environment: Environment = {}): LoadedConfig =>
  load({ flags, environment: { HOME: folder, ...environment }, isTerminal: false });

function refusal(flags: readonly FlagValue[], environment: Environment = {}): readonly string[] {
  try {
    loaded(flags, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
  return [];
}

test('flags win over variables, variables over the file, the file over defaults', () => {
  const file = fileOf('name: from-file\ntimeouts: { idle: 5m, linger: 1m }\nport: 1111\n');
  const { config } = loaded([flag('config', file), flag('name', 'from-flag')], {
    VIADUCT_NAME: 'from-variable',
    VIADUCT_IDLE: '7m',
  });
  assert.equal(config.name, 'from-flag');
  assert.equal(config.timeouts.idleMs, 420_000);
  assert.equal(config.timeouts.lingerMs, 60_000);
  assert.equal(config.timeouts.drainMs, 30_000);
  assert.deepEqual(config.listen[0], { kind: 'tcp', protocol: 'http', host: '127.0.0.1', port: 1111, optional: true });
});

test('without any source the proxy listens on both loopback addresses, of which one may be missing', () => {
  assert.deepEqual(loaded([]).config.listen, [
    { kind: 'tcp', protocol: 'http', host: '127.0.0.1', port: 3128, optional: true },
    { kind: 'tcp', protocol: 'http', host: '::1', port: 3128, optional: true },
  ]);
});

test('repeated listeners add up, and replace those of the file', () => {
  const file = fileOf('listen: [localhost:1]\n');
  const { config } = loaded([flag('config', file), flag('listen', '127.0.0.1:2'), flag('binding', '::1')]);
  assert.deepEqual(
    config.listen.map((one) => (one.kind === 'tcp' ? `${one.host} ${one.port}` : one.kind)),
    ['127.0.0.1 2', '::1 3128'],
  );
});

test('--rate replaces the limit of the whole proxy and leaves the others of the file', () => {
  const text = 'limits:\n  bandwidth:\n    - { per: client, rate: 1MiB }\n    - { per: proxy, rate: 9MiB }\n';
  const { config, provenance } = loaded([flag('config', fileOf(text)), flag('rate', '524288')]);
  assert.deepEqual(
    config.limits.bandwidth.map(({ per, rate }) => [per, rate]),
    [
      ['client', 1_048_576],
      ['proxy', 524_288],
    ],
  );
  assert.match(provenance.of(['limits', 'bandwidth', 0]), /yaml:3$/);
  assert.equal(provenance.of(['limits', 'bandwidth', 1, 'rate']), '--rate');
});

test('--rate alone is one limit for everything', () => {
  const { config } = loaded([flag('rate', '4Mbit')]);
  assert.deepEqual(
    config.limits.bandwidth.map(({ per, rate, direction }) => [per, rate, direction]),
    [['proxy', 500_000, 'both']],
  );
});

test('-t sets the time to connect and the time to a response head', () => {
  const { config } = loaded([flag('timeout', '12')]);
  assert.deepEqual([config.timeouts.connectMs, config.timeouts.headMs], [12_000, 12_000]);
});

test('--auth with a user and a password keeps no password', () => {
  const { config } = loaded([flag('auth', 'alice:wonder:land')]);
  assert.match(String(Object.entries(config.clients.users ?? {})), /^alice,\{SSHA256\}[A-Za-z0-9+/]{64}$/);
  assert.ok(loaded([flag('auth', `alice:${'x'.repeat(1024)}`)]).config.clients.users);
  for (const text of [':secret', 'alice:', ':', 'a\0b:c', `alice:${'x'.repeat(1025)}`, `alice:${'ä'.repeat(513)}`])
    assert.match(String(refusal([flag('auth', text)])), /^--auth: /, text);
});

test('a hash that no password matches is reported with file, line and key, and is not repeated', () => {
  const inline = fileOf('clients:\n  users:\n    alice: hunter2\n');
  assert.match(
    String(refusal([flag('config', inline)])),
    new RegExp(`^${inline}:3: clients.users.alice: "alice" is not a valid hash \\(bcrypt(?!.*hunter2)`),
  );
  const users = fileOf('alice:hunter2\n');
  const file = fileOf(`clients: { users: ${users} }\n`);
  assert.match(
    String(refusal([flag('config', file)])),
    new RegExp(`^${file}:1: clients.users: ${users}:1: "alice" is not a valid hash \\(bcrypt(?!.*hunter2)`),
  );
});

test('an exposed listener needs users, an allow list or --open', () => {
  assert.deepEqual(refusal([flag('listen', '0.0.0.0')]), [
    '--listen: everyone who reaches 0.0.0.0 could use this proxy: add `clients: { users: users.htpasswd }` (--auth) ' +
      'or `clients: { allow: [10.0.0.0/8] }` (--allow), or set --open',
  ]);
  assert.deepEqual(refusal([flag('listen', '0.0.0.0'), flag('open')]), []);
  assert.deepEqual(refusal([flag('listen', '0.0.0.0'), flag('allow', '10.0.0.0/8, ::1')]), []);
  assert.deepEqual(refusal([flag('listen', '[::]'), flag('auth', 'a:b')]), []);
  assert.deepEqual(refusal([flag('listen', '127.9.9.9'), flag('listen', '[::1]:5'), flag('listen', 'unix:/x')]), []);
});

test('a rule about an unknown user is refused, with its place', () => {
  const users = fileOf('# made by htpasswd\nalice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n');
  const file = fileOf(`clients: { users: ${users} }\naccess:\n  - allow:\n      users: [alice, bob]\n`);
  assert.deepEqual(refusal([flag('config', file)]), [
    `${file}:4: access[0].allow.users[1]: clients.users has no "bob"`,
  ]);
});

test('a rule about users is refused when clients do not authenticate', () => {
  const file = fileOf('access:\n  - deny: { users: [bob] }\n');
  assert.deepEqual(refusal([flag('config', file)]), [
    `${file}:2: access[0].deny.users: clients do not authenticate; set clients.users`,
  ]);
});

test('a file of users that is not there is reported with file, line and key', () => {
  const file = fileOf('name: x\nclients:\n  users: missing.htpasswd\n');
  assert.deepEqual(refusal([flag('config', file)]), [
    `${file}:3: clients.users: ${join(folder, 'missing.htpasswd')}: cannot be read: there is no such file`,
  ]);
});

test('two rules of one name are refused, since the log could not tell them apart', () => {
  const file = fileOf('access:\n  - { name: a, deny: { hosts: [x.example] } }\n  - { name: a, default: allow }\n');
  assert.deepEqual(refusal([flag('config', file)]), [`${file}:3: access[1].name: another rule is named "a"`]);
});

test('a mistake in the file is reported even where a flag hides it', () => {
  const file = fileOf('port: 99999\n');
  assert.deepEqual(refusal([flag('config', file), flag('port', '1')]), [
    `${file}:1: port: is 99999; write at most 65535`,
  ]);
});

test('flags and variables are named in their own errors', () => {
  assert.deepEqual(refusal([flag('port', 'abc')]), ['--port: "abc" is not a port from 0 to 65535']);
  assert.deepEqual(refusal([flag('port', '99999')]), ['--port: is 99999; write at most 65535']);
  assert.deepEqual(refusal([], { VIADUCT_TIMEOUT: 'x' }), [
    'VIADUCT_TIMEOUT: "x" is not a duration; write for example 30s, 5m or 1h30m',
  ]);
  assert.deepEqual(refusal([], { VIADUCT_OPEN: 'perhaps' }), ['VIADUCT_OPEN: "perhaps" is neither true nor false']);
  assert.deepEqual(refusal([flag('allow', '10.0.0.0/8,everyone')]), [
    '--allow: is neither a valid address nor a block of addresses; write for example 10.0.0.1 or 10.0.0.0/8',
  ]);
});

test('a file that cannot be read is one line', () => {
  assert.deepEqual(refusal([flag('config', '/nowhere.yaml')]), [
    '/nowhere.yaml: cannot be read: there is no such file',
  ]);
  assert.deepEqual(refusal([], { VIADUCT_CONFIG: folder }), [`${folder}: cannot be read: it is a folder`]);
});

test('a variable with a slip in its name is worth a notice; a variable of the user is not', () => {
  assert.deepEqual(loaded([], { VIADUCT_ALOW: '10.0.0.0/8', VIADUCT_ADMIN_TOKEN: 'x', VIADUCT_PORT: '' }).notices, [
    'VIADUCT_ALOW is not read by viaduct; did you mean VIADUCT_ALLOW?',
  ]);
});

test('the log is json unless standard output is a terminal, and what is said wins', () => {
  assert.equal(loaded([]).config.log.format, 'json');
  assert.equal(load({ flags: [], environment: { HOME: folder }, isTerminal: true }).config.log.format, 'pretty');
  assert.equal(loaded([flag('log', 'clf')]).config.log.format, 'clf');
  const toFile = load({ flags: [flag('log-file', '/x')], environment: { HOME: folder }, isTerminal: true });
  assert.equal(toFile.config.log.format, 'json');
});

test('every setting in force is shown with its origin, and secrets are masked', () => {
  const file = fileOf('clients:\n  users: { alice: "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=" }\ntimeouts:\n  idle: 5m\n');
  const { values, provenance } = loaded([flag('config', file), flag('port', '8080')], { VIADUCT_NAME: 'gate' });
  assert.deepEqual(settingsInForce(values, { timeouts: { idle: '1h', drain: '30s' } }, provenance), [
    { path: 'timeouts.idle', value: '"5m"', origin: `${file}:4` },
    { path: 'timeouts.drain', value: '"30s"', origin: 'default' },
    { path: 'clients.users.alice', value: '•••', origin: `${file}:2` },
    { path: 'name', value: '"gate"', origin: 'VIADUCT_NAME' },
    { path: 'port', value: '8080', origin: '--port' },
    { path: 'log.format', value: '"json"', origin: 'default' },
    { path: 'routes.pac', value: '"system"', origin: 'default' },
    { path: 'routes.unreachable', value: '"refuse"', origin: 'default' },
    { path: 'routes.pacUnreachable', value: '"direct"', origin: 'default' },
  ]);
});

test('a configuration is frozen to its leaves', () => {
  const { config } = loaded([flag('rate', '1MiB')]);
  assert.throws(() => Object.assign(config.timeouts, { idleMs: 1 }), TypeError);
  assert.throws(() => Object.assign(config.limits.bandwidth[0] ?? {}, { rate: 1 }), TypeError);
});
