import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { builtCommand } from '../test/support/cli.ts';
import { entryText, manifestOfPackage } from './entry.ts';
import { hasNodeOfMajor, nodeOfMajor } from './other-nodes.ts';

/** What the entry does on a Node: loads the command, or prints why it does not. */
function startedOn(node: string, words: readonly string[] = ['run']) {
  const loads: string[] = [];
  let printed = '';
  const stream = { write: (text: string) => (printed += text), on: () => {} };
  const process: { exitCode?: unknown; [name: string]: unknown } = {
    versions: { node },
    argv: ['node', 'cli.js', ...words],
    env: { HOME: '/home/me' },
    stdout: stream,
    stderr: stream,
  };
  const text = entryText({ version: '1.2.3', engines: { node: '^22.19 || ^24.11 || >=26' } })
    .replace('#!/usr/bin/env node', '')
    .replace('import(', 'load(');
  runInNewContext(text, { process, load: (path: string) => loads.push(path) });
  return { loaded: loads.includes('./start.js'), printed, exitCode: process.exitCode };
}

for (const node of ['22.19.0', '22.23.5', '24.11.0', '24.22.3', '25.0.0', '26.0.0', '30.1.0'])
  test(`Node ${node} loads the command`, () => {
    assert.deepEqual(startedOn(node), { loaded: true, printed: '', exitCode: undefined });
  });

test('--version alone is answered without loading the command', () => {
  const answered = { loaded: false, printed: 'viaduct 1.2.3\n', exitCode: undefined };
  assert.deepEqual(startedOn('24.11.0', ['--version']), answered);
  assert.equal(startedOn('24.11.0', ['--version', '--no-such-flag']).loaded, true);
});

for (const node of ['10.24.1', '18.20.8', '20.20.2', '22.18.9', '23.11.1', '24.10.0'])
  test(`Node ${node} is too old: one line, and exit 2`, () => {
    const printed = `viaduct: Node ${node} is too old; install Node 22.19 or 24.11, or a later one\n`;
    assert.deepEqual(startedOn(node), { loaded: false, printed, exitCode: 2 });
  });

test('the package and its entry know the same versions', () => {
  assert.equal(manifestOfPackage().engines.node, '^22.19 || ^24.11 || >=26');
  assert.throws(() => entryText({ version: '1.2.3', engines: { node: '*' } }), /engines\.node is \*/);
});

for (const major of [10, 14, 20]) {
  const isAtHand = process.platform === 'linux' && (process.env.CI === 'true' || hasNodeOfMajor(major));
  test(`a real Node ${major} runs the entry, which reports that it is too old`, {
    skip: !isAtHand && 'CI=true brings this Node by npm, on Linux',
    timeout: 120_000,
  }, () => {
    const { status, stdout, stderr } = spawnSync(nodeOfMajor(major), [builtCommand(), 'run'], { encoding: 'utf8' });
    assert.deepEqual([status, stdout], [2, '']);
    assert.match(
      stderr,
      new RegExp(`^viaduct: Node ${major}\\.\\S+ is too old; install Node \\S+ or \\S+, or a later one\\n$`),
    );
  });
}
