import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../core/clock.ts';
import { watchBeside } from '../watch/file.ts';
import { readText } from './file.ts';
import { FLAGS } from './flags.ts';
import { Reloader } from './reload.ts';
import type { Config } from './schema.ts';
import { load } from './sources.ts';

/** A configuration file in a folder of its own, and a reloader that writes down what happens. */
function house(text: string) {
  const folder = mkdtempSync(join(tmpdir(), 'viaduct-'));
  const path = join(folder, 'viaduct.yaml');
  writeFileSync(path, text);
  const flag = FLAGS.find(({ name }) => name === 'config');
  assert.ok(flag);
  const read = () => load({ flags: [{ flag, text: path, label: '--config' }], environment: {}, isTerminal: false });
  const applied: Config[] = [];
  const told: string[] = [];
  let refuse: Error | undefined;
  const reloader = new Reloader(read(), {
    load: read,
    text: () => readText(path),
    async apply({ config }) {
      if (refuse !== undefined) throw refuse;
      applied.push(config);
    },
    tell: (_level, line) => told.push(line.replaceAll(path, 'viaduct.yaml')),
  });
  return {
    path,
    applied,
    told,
    reloader,
    refuseWith: (error: Error) => {
      refuse = error;
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}

test('a good file is put in force, and the settings that changed are named', async () => {
  using at = house('name: a\ntimeouts: { idle: 5m }\n');
  writeFileSync(at.path, 'name: b\ntimeouts: { idle: 5m }\nlimits: { bandwidth: { rate: 1MiB } }\n');
  await at.reloader.fileTouched();
  assert.equal(at.applied[0]?.name, 'b');
  assert.deepEqual(at.told, ['viaduct.yaml: reloaded: name, limits.bandwidth.rate']);
});

test('a bad file changes nothing and is told in one line', async () => {
  using at = house('name: a\n');
  writeFileSync(at.path, 'name: b\ntimouts: 1\nport: x\n');
  await at.reloader.fileTouched();
  assert.deepEqual(at.applied, []);
  assert.equal(at.told.length, 1);
  assert.match(at.told[0] ?? '', /^viaduct\.yaml:3: port: is "x"; .* \(and 1 more\); nothing was changed$/);
});

test('what cannot be put in force is told, and the next good file still is', async () => {
  using at = house('name: a\n');
  at.refuseWith(new Error('127.0.0.1:1 is taken'));
  writeFileSync(at.path, 'name: b\n');
  await at.reloader.fileTouched();
  assert.deepEqual(at.told, ['not reloaded: 127.0.0.1:1 is taken; nothing was changed']);
});

test('a touch that leaves the text alone does nothing, and a request always reads everything again', async () => {
  using at = house('name: a\n');
  await at.reloader.fileTouched();
  assert.deepEqual([at.applied.length, at.told], [0, []]);
  await at.reloader.requested();
  assert.deepEqual([at.applied.length, at.told], [1, ['viaduct.yaml: nothing changed']]);
});

test('a password that changes is reloaded, and its hash is not told', async () => {
  using at = house('clients: { users: { a: "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=" } }\n');
  writeFileSync(at.path, 'clients: { users: { a: "{SHA}TMiviCuZ0dJ1E2Y0OtYiSEIAJZQ=" } }\n');
  await at.reloader.fileTouched();
  assert.deepEqual([at.applied.length, at.told], [1, ['viaduct.yaml: reloaded: clients.users.a']]);
});

test('an editor that saves by renaming is noticed', async () => {
  using at = house('name: a\n');
  // Neither the watch nor its clock keeps a process alive.
  const awake = setInterval(() => {}, 1000);
  await new Promise<void>((resolve) => {
    const watching = watchBeside(at.path, systemClock, () => {
      watching[Symbol.dispose]();
      resolve();
    });
    writeFileSync(`${at.path}.new`, 'name: b\n');
    renameSync(`${at.path}.new`, at.path);
  });
  clearInterval(awake);
});
