import assert from 'node:assert/strict';
import { test } from 'node:test';
import { warnOfFewFiles } from '../cli/run/open-files.ts';
import { connectionsMax } from './descriptor-budget.ts';

test('as many connections are accepted as can have two descriptors each, and a reserve stays', () => {
  for (const [files, connections] of [
    [1_048_576, 32_768],
    [65_536, 32_448],
    [4_096, 1_728],
    [1_024, 192],
    [700, 64],
    [256, 64],
    [80, 20],
    [3, 1],
  ] as const) {
    assert.equal(connectionsMax(files), connections, `${files} files`);
  }
});

test('the number that is printed at the start is the number of connections that are accepted', () => {
  const said = (workers: number, files: number): string[] => {
    const lines: string[] = [];
    warnOfFewFiles(workers, { warn: (line) => lines.push(line) }, files);
    return lines;
  };
  assert.deepEqual(said(1, 4096), []);
  assert.deepEqual(said(1, 1024), [
    'only 1024 files may be open, enough for 192 connections of clients, 168 of one address; raise it with ulimit -n 65536',
  ]);
  assert.deepEqual(said(4, 700), [
    'only 700 files may be open, enough for 64 connections of clients in each of 4 processes, 56 of one address; ' +
      'raise it with ulimit -n 65536',
  ]);
});
