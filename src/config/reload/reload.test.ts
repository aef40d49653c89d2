import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { temporaryFolder } from '../../../test/support/temporary.ts';
import type { Config } from '../config.ts';
import { FLAGS } from '../flags.ts';
import { load } from '../sources.ts';
import { digestOfFile, externalStateOf } from './external-state.ts';
import { type FileDigest, Reloader } from './reload.ts';
import { configFilesOf, reread } from './reread.ts';

/** A configuration file in a folder of its own, and a reloader that writes down what happens. */
function reloaderFor(text: string, digest: (file: string) => Promise<FileDigest> = digestOfFile) {
  const folder = temporaryFolder();
  const path = join(folder.path, 'viaduct.yaml');
  writeFileSync(path, text);
  const flag = FLAGS.find(({ name }) => name === 'config');
  assert.ok(flag);
  const sources = { flags: [{ flag, text: path, label: '--config' }], environment: {}, isTerminal: false };
  const first = load(sources);
  let config = first.config;
  const applied: Config[] = [];
  const lines: string[] = [];
  const log = (line: string) => void lines.push(line.replaceAll(`${folder.path}/`, ''));
  let refuse: Error | undefined;
  const clock = new ManualClock();
  const reloader = new Reloader(configFilesOf(first), {
    clock,
    read: async (before) => reread(sources, before),
    digest,
    externalState: () => externalStateOf(reloader.files, config),
    async apply(next) {
      if (refuse !== undefined) throw refuse;
      config = next.config;
      applied.push(config);
    },
    logger: { info: log, warn: log, error: log },
  });
  return {
    folder: folder.path,
    path,
    applied,
    lines,
    reloader,
    clock,
    touched: () => reloader.fileTouched(path),
    refuseWith: (error: Error) => {
      refuse = error;
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

test('a good file is put in force, and the settings that changed are named', async () => {
  using at = reloaderFor('name: a\ntimeouts: { idle: 5m }\n');
  writeFileSync(at.path, 'name: b\ntimeouts: { idle: 5m }\nlimits: { bandwidth: { rate: 1MiB } }\n');
  await at.touched();
  assert.equal(at.applied[0]?.name, 'b');
  assert.deepEqual(at.lines, ['viaduct.yaml: reloaded: name, limits.bandwidth.rate']);
});

test('a bad file changes nothing and is reported in one line', async () => {
  using at = reloaderFor('name: a\n');
  writeFileSync(at.path, 'name: b\ntimouts: 1\nport: x\n');
  await at.touched();
  assert.deepEqual(at.applied, []);
  assert.equal(at.lines.length, 1);
  assert.match(at.lines[0] ?? '', /^viaduct\.yaml:3: port: is "x"; .* \(and 1 more\); nothing was changed$/);
  // It is the same bad file: once is enough.
  await at.touched();
  assert.equal(at.lines.length, 1);
});

test('what cannot be put in force is reported, and the next good file still is', async () => {
  using at = reloaderFor('name: a\n');
  at.refuseWith(new Error('127.0.0.1:1 is taken'));
  writeFileSync(at.path, 'name: b\n');
  await at.touched();
  assert.deepEqual(at.lines, ['not reloaded: 127.0.0.1:1 is taken; nothing was changed']);
});

test('a touch that leaves the bytes alone does nothing, and a request always reads everything again', async () => {
  using at = reloaderFor('name: a\n');
  writeFileSync(at.path, 'name: a\n');
  await at.touched();
  assert.deepEqual([at.applied.length, at.lines], [0, []]);
  await at.reloader.requested();
  assert.deepEqual([at.applied.length, at.lines], [1, ['viaduct.yaml: nothing changed']]);
});

test('a password that changes is reloaded, and its hash is not reported', async () => {
  using at = reloaderFor('clients: { users: { a: "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=" } }\n');
  writeFileSync(at.path, 'clients: { users: { a: "{SHA}TMiviCuZ0dJ1E2Y0OtYiSEIAJZQ=" } }\n');
  await at.touched();
  assert.deepEqual([at.applied.length, at.lines], [1, ['viaduct.yaml: reloaded: clients.users.a']]);
});

test('a thousand settings that change are a line that can be read', async () => {
  const rules = (host: string) =>
    `access:\n${Array.from({ length: 1000 }, (_, at) => `  - deny: { hosts: [${host}${at}.example] }\n`).join('')}`;
  using at = reloaderFor(rules('a'));
  writeFileSync(at.path, rules('b'));
  await at.touched();
  const [line = ''] = at.lines;
  assert.match(line, /^viaduct\.yaml: reloaded: access\[0\], access\[1\], .*access\[19\] and 980 more$/);
});

const FULL = `access: [{ deny: { hosts: [a.example] } }]
clients: { allow: [127.0.0.1] }
guard: { deny: [private] }
limits: { bandwidth: { rate: 1MiB } }
`;
const EMPTY = 'viaduct.yaml: is empty, and the one in force has settings; write {} to take them all back';

for (const [what, text] of [
  ['nothing', ''],
  ['a line end', '\n'],
  ['a comment', '# the rules come in a moment\n'],
  ['the mark of a document', '---\n'],
  ['null', 'null\n'],
] as const)
  test(`a file that holds ${what} is a mistake while one with settings is in force, however it is noticed`, async () => {
    using at = reloaderFor(FULL);
    writeFileSync(at.path, text);
    await at.touched();
    await at.reloader.requested();
    assert.deepEqual(at.lines, Array(2).fill(`${EMPTY}; nothing was changed`));
    assert.deepEqual(at.applied, []);
    writeFileSync(at.path, FULL);
    await at.touched();
    assert.deepEqual(at.lines.slice(2), ['viaduct.yaml: nothing changed']);
  });

test('a file that an editor has locked is read when the lock is gone, although no event says so', async () => {
  let isLocked = true;
  using at = reloaderFor('name: a\n', async (file) => (isLocked ? { at: 'locked' } : digestOfFile(file)));
  writeFileSync(at.path, 'name: b\n');
  await at.touched();
  await at.touched();
  await at.clock.pass(5000);
  assert.deepEqual([at.applied.length, at.lines, at.clock.pending], [0, [], 1]);
  isLocked = false;
  await at.clock.pass(1000);
  await at.touched();
  assert.deepEqual([at.lines, at.clock.pending], [['viaduct.yaml: reloaded: name'], 0]);
});

test('a file that is gone is a mistake too', async () => {
  using at = reloaderFor(FULL);
  rmSync(at.path);
  await at.touched();
  assert.deepEqual(at.lines, []);
  await at.reloader.requested();
  assert.deepEqual(at.lines, ['viaduct.yaml: cannot be read: there is no such file; nothing was changed']);
});

test('the file of the user that is gone does not leave the proxy without rules', () => {
  using folder = temporaryFolder();
  const name = join(folder.path, 'viaduct', 'viaduct.yaml');
  const sources = { flags: [], environment: { XDG_CONFIG_HOME: folder.path }, isTerminal: false };
  const bytes = Buffer.from(FULL);
  assert.throws(() => reread(sources, { name, bytes, digests: new Map() }), {
    name: 'ConfigError',
    message: `${name}: is gone`,
  });
});

test('sections that protect and are removed are reported, each with what holds without it', async () => {
  using at = reloaderFor(`${FULL}name: a\n`);
  writeFileSync(at.path, 'name: a\n');
  await at.touched();
  assert.deepEqual(at.lines, [
    'viaduct.yaml: reloaded: access[0], clients.allow, guard.deny, limits.bandwidth.rate',
    'viaduct.yaml: access was removed: no rule limits any more where clients may go',
    'viaduct.yaml: clients was removed: neither addresses nor users limit any more who may use the proxy',
    'viaduct.yaml: guard was removed: addresses are judged by the defaults again',
    'viaduct.yaml: limits was removed: nothing is limited any more',
  ]);
  assert.equal(at.applied.length, 1);
});

test('a section that is left empty is one that was removed, and {} takes all back', async () => {
  using at = reloaderFor('access: [{ deny: { hosts: [a.example] } }]\nname: a\n');
  writeFileSync(at.path, 'access: []\nname: a\n');
  await at.touched();
  assert.match(at.lines[1] ?? '', /^viaduct\.yaml: access was removed: /);
  writeFileSync(at.path, '{}\n');
  await at.touched();
  assert.equal(at.applied.at(-1)?.name, 'viaduct');
});

test('a file of hosts that changes is a change of the setting that names it, and an empty one a mistake', async () => {
  using at = reloaderFor('access: [{ deny: { hosts: [a.example] } }]\n');
  const list = join(at.folder, 'ads.txt');
  writeFileSync(list, 'a.example\n');
  writeFileSync(at.path, 'access: [{ deny: { hosts: "file:ads.txt" } }]\n');
  await at.touched();
  assert.deepEqual(at.reloader.files, [at.path, list]);
  await at.reloader.fileTouched(list);
  assert.equal(at.lines.length, 1);
  writeFileSync(list, 'a.example\nb.example\n');
  await at.reloader.fileTouched(list);
  assert.deepEqual(at.applied.at(-1)?.access[0]?.deny?.hosts, ['a.example', 'b.example']);
  writeFileSync(list, '');
  await at.reloader.fileTouched(list);
  assert.deepEqual(at.lines, [
    'viaduct.yaml: reloaded: access[0]',
    'viaduct.yaml: reloaded: access[0]',
    'viaduct.yaml:1: access[0].deny.hosts: ads.txt: names no host; write one on each line; nothing was changed',
  ]);
});

test('requests within a second of one are one reload and one line', async () => {
  using at = reloaderFor('name: a\n');
  writeFileSync(at.path, 'name: b\n');
  await Promise.all([at.reloader.requested(), at.reloader.requested(), at.reloader.requested()]);
  at.clock.advance(999);
  await at.reloader.requested();
  at.clock.advance(1);
  await at.reloader.fileTouched(at.path);
  assert.deepEqual([at.applied.length, at.lines], [1, ['viaduct.yaml: reloaded: name']]);
  await at.reloader.requested();
  assert.deepEqual([at.applied.length, at.lines.length], [2, 2]);
});

for (const [what, file, text] of [
  ['the configuration', 'viaduct.yaml', 'name: b\nclients: { users: users }\nlog: { format: json, file: log }\n'],
  ['the file of users', 'users', 'alice:{SHA}TMiviCuZ0dJ1E2Y0OtYiSEIAJZQ=\n'],
] as const)
  test(`a request that comes within a second counts when ${what} has changed since`, async () => {
    using at = reloaderFor('name: a\n');
    writeFileSync(join(at.folder, 'users'), 'alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n');
    writeFileSync(at.path, 'name: a\nclients: { users: users }\nlog: { format: json, file: log }\n');
    await at.reloader.requested();
    writeFileSync(join(at.folder, file), text);
    await at.reloader.requested();
    assert.equal(at.applied.length, 1);
    at.clock.advance(1000);
    await at.reloader.fileTouched('nothing');
    assert.equal(at.applied.length, 2);
  });

test('a request that comes within a second counts when the log was moved away since', async () => {
  using at = reloaderFor('log: { format: json, file: log }\n');
  writeFileSync(join(at.folder, 'log'), '');
  await at.reloader.requested();
  rmSync(join(at.folder, 'log'));
  await at.reloader.requested();
  at.clock.advance(1000);
  await at.reloader.fileTouched('nothing');
  assert.equal(at.applied.length, 2);
});
