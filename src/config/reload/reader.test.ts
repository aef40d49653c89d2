import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { temporaryFolder } from '../../../test/support/temporary.ts';
import { FLAGS } from '../flags.ts';
import { load, type Sources } from '../sources.ts';
import { rereadInThread } from './reader.ts';
import { type ConfigFiles, configFilesOf, reread } from './reread.ts';

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());
const path = join(folder.path, 'viaduct.yaml');

function written(text: string, environment: Record<string, string> = {}): Sources {
  writeFileSync(path, text);
  const flags = [
    ['config', path],
    ['noproxy', 'x.example'],
  ].map(([name = '', given = '']) => {
    const flag = FLAGS.find((one) => one.name === name);
    assert.ok(flag);
    return { flag, text: given, label: `--${name}` };
  });
  return { flags, environment, isTerminal: false };
}

const before = (text: string, environment?: Record<string, string>): ConfigFiles =>
  configFilesOf(load(written(text, environment)));

test('a thread reads what is read here, from the same sources', async () => {
  const was = before('name: a\n');
  const rules = Array.from({ length: 500 }, (_, at) => `  - deny: { hosts: [h${at}.example] }\n`).join('');
  const text = `name: b\nrelay: native\nworkers: 2\naccess:\n${rules}credentials: { c: { user: u, from: "env:PW" } }\n`;
  const sources = written(text, { PW: 'pw', VIADUCT_PORT: '4000' });
  const [beside, here] = [await rereadInThread(sources, was), reread(sources, was)];
  assert.deepEqual(JSON.parse(JSON.stringify(beside.config)), JSON.parse(JSON.stringify(here.config)));
  assert.equal(beside.config.routes.noProxy[0], 'x.example');
  assert.deepEqual([beside.changed, beside.removed, beside.from], [here.changed, here.removed, here.from]);
  assert.ok(Object.isFrozen(beside.config.access[499]?.deny?.hosts));
});

test('what it refuses is refused with the same lines', async () => {
  const was = before('name: a\n');
  const sources = written('name: b\nprot: 1\nlog: { format: x }\n');
  await assert.rejects(rereadInThread(sources, was), (error: Error) => {
    assert.throws(() => reread(sources, was), { name: 'ConfigError', message: error.message });
    assert.match(
      error.message,
      /viaduct\.yaml:3: log\.format: .*\n.*viaduct\.yaml:2: prot: no such setting; did you mean port\?$/,
    );
    return error.name === 'ConfigError';
  });
  await assert.rejects(rereadInThread(written(''), was), /viaduct\.yaml: is empty, and the one in force has settings/);
});
