import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { ProxyEvent } from '../contracts/event.ts';
import { systemClock } from '../util/clock.ts';
import { type AccessLogOptions, accessLog } from './access-log.ts';
import { oneAtATime, rotateFile } from './rotate-file.ts';

const closed = (id: string, url?: string, detail?: string): ProxyEvent => ({
  type: 'close',
  id,
  record: {
    id,
    kind: 'forward',
    protocol: 'http/1.1',
    startedAt: new Date(0),
    durationMs: 1,
    client: { address: '127.0.0.1', port: 1, listener: 'http://127.0.0.1:3128' },
    method: 'GET',
    url,
    detail,
    limits: [],
    status: 200,
    bytesUp: 0,
    bytesDown: 7,
    timings: {},
  },
});

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'viaduct-rotation-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function writer(options: Partial<AccessLogOptions>, said: string[] = [], rotate = oneAtATime(rotateFile)) {
  const observe = (event: ProxyEvent) => void said.push(event.type === 'notice' ? event.message : event.type);
  const log = accessLog(
    { format: 'json', keep: 5, url: 'full', ...options },
    { stdout: new PassThrough(), clock: systemClock, observe, env: {}, rotate },
  );
  assert.ok(log);
  return log;
}

const idsIn = (file: string): string[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line).id);

test('a file that is full becomes FILE.1 before it grows over its size; no line is lost or torn', async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'access.log');
  const log = writer({ file, maxBytes: 1000, keep: 100 });
  const written = Array.from({ length: 50 }, (_, n) => `r${n}`);
  for (const id of written) log.observe(closed(id));
  await log[Symbol.asyncDispose]();
  const files = readdirSync(folder);
  assert.ok(files.length > 10, files.join(' '));
  const inOrder = [...Array.from({ length: files.length - 1 }, (_, n) => `${file}.${files.length - 1 - n}`), file];
  assert.deepEqual(inOrder.flatMap(idsIn), written);
  for (const path of inOrder) assert.ok(statSync(path).size <= 1000, path);
});

test('so many rotated files stay as log.keep says', async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'access.log');
  const log = writer({ file, maxBytes: 300, keep: 2 });
  for (let n = 0; n < 20; n++) log.observe(closed(`r${n}`));
  await log[Symbol.asyncDispose]();
  assert.deepEqual(readdirSync(folder).sort(), ['access.log', 'access.log.1', 'access.log.2']);
  assert.equal(idsIn(file).at(-1), 'r19');
});

test('several writers of one file lose and tear no line, also one that was idle meanwhile', async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'access.log');
  const rotate = oneAtATime(rotateFile);
  const said: string[] = [];
  const writers = ['a', 'b', 'c'].map((name) => ({
    name,
    log: writer({ file, maxBytes: 2000, keep: 200 }, said, rotate),
  }));
  const written: string[] = [];
  const write = (at: number, n: number): void => {
    const { name, log } = writers[at] ?? assert.fail();
    written.push(`${name}${n}`);
    log.observe(closed(`${name}${n}`));
  };
  write(2, 0);
  for (let n = 0; n < 100; n++) for (const at of [0, 1]) write(at, n);
  await writers[0]?.log[Symbol.asyncDispose]();
  await writers[1]?.log[Symbol.asyncDispose]();
  write(2, 1);
  await writers[2]?.log[Symbol.asyncDispose]();
  const found = readdirSync(folder).flatMap((name) => idsIn(join(folder, name)));
  assert.deepEqual(found.sort(), written.sort());
  assert.deepEqual(said, []);
});

test('a file that another program has moved away is begun anew, and not rotated', async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'access.log');
  const log = writer({ file, maxBytes: 300 });
  log.observe(closed('r1'));
  while (statSync(file).size === 0) await new Promise(setImmediate);
  renameSync(file, join(folder, 'moved'));
  log.observe(closed('r2'));
  await log[Symbol.asyncDispose]();
  assert.deepEqual([idsIn(join(folder, 'moved')), idsIn(file), readdirSync(folder).length], [['r1'], ['r2'], 2]);
});

test('a file that cannot be rotated goes on growing, and one notice says why', async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'access.log');
  mkdirSync(join(folder, 'access.log.1', 'x'), { recursive: true });
  const said: string[] = [];
  const log = writer({ file, maxBytes: 300, keep: 1 }, said);
  for (let n = 0; n < 5; n++) log.observe(closed(`r${n}`));
  await log[Symbol.asyncDispose]();
  assert.equal(idsIn(file).length, 5);
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /^access log: .*access\.log cannot be rotated, it goes on growing: /);
});

test('a link is never moved', async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'access.log');
  symlinkSync(join(folder, 'real.log'), file);
  const said: string[] = [];
  const log = writer({ file, maxBytes: 300 }, said);
  for (let n = 0; n < 5; n++) log.observe(closed(`r${n}`));
  await log[Symbol.asyncDispose]();
  assert.deepEqual(readdirSync(folder).sort(), ['access.log', 'real.log']);
  assert.equal(idsIn(file).length, 5);
});

test('log.url: origin leaves paths out of every form, also out of a reason that repeats the URL', async (t) => {
  for (const format of ['json', 'pretty', 'clf', 'squid'] as const) {
    const file = join(folderOf(t), 'access.log');
    const log = writer({ file, format, url: 'origin' });
    log.observe(
      closed('r1', 'http://example.com:8080/secret/path?q', 'the PAC threw http://example.com:8080/secret/path?q'),
    );
    log.observe(closed('r2', '/secret.pac'));
    await log[Symbol.asyncDispose]();
    const lines = readFileSync(file, 'utf8');
    assert.match(lines, /http:\/\/example\.com:8080\/(?!secret)/, format);
    assert.doesNotMatch(lines, /secret/, format);
  }
});
