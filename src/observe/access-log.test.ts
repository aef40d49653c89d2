import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { until } from '../../test/support/until.ts';
import type { ProxyEvent } from '../contracts/event.ts';
import { systemClock } from '../util/clock.ts';
import { type AccessLog, type AccessLogOptions, accessLog, wantsColours } from './access-log.ts';
import { notices } from './notices.ts';

const closed = (method: string): ProxyEvent => ({
  type: 'close',
  id: 'r1',
  record: {
    id: 'r1',
    kind: 'forward',
    protocol: 'http/1.1',
    startedAt: new Date(0),
    durationMs: 1,
    client: { address: '127.0.0.1', port: 1, listener: 'http://127.0.0.1:3128' },
    method,
    limits: [],
    status: 200,
    bytesUp: 0,
    bytesDown: 7,
    timings: {},
  },
});
const clf = (method: string): string => `127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] "${method} HTTP/1.1" 200 7\n`;

function open(given: Partial<AccessLogOptions>, notices: string[] = []): { log: AccessLog; stdout: PassThrough } {
  const options: AccessLogOptions = { format: 'clf', keep: 5, url: 'full', ...given };
  const stdout = new PassThrough();
  const observe = (event: ProxyEvent) => void notices.push(event.type === 'notice' ? event.message : event.type);
  const log = accessLog(options, { stdout, clock: systemClock, observe, env: {} });
  assert.ok(log);
  return { log, stdout };
}

test('one line for each request that has ended, on standard output', async () => {
  const { log, stdout } = open({ format: 'clf' });
  log.observe(closed('GET'));
  log.observe({ type: 'established', id: 'r1' });
  log.observe(closed('PUT'));
  await log[Symbol.asyncDispose]();
  stdout.end();
  assert.equal(await text(stdout), clf('GET') + clf('PUT'));
});

test('a stream may keep what it was given: what is written later does not change it', async () => {
  const { log, stdout } = open({ format: 'clf' });
  log.observe(closed('GET'));
  await until(() => stdout.readableLength > 0, 'the first line was written');
  log.observe(closed('PUT'));
  await log[Symbol.asyncDispose]();
  stdout.end();
  assert.equal(await text(stdout), clf('GET') + clf('PUT'));
});

test('off makes no exporter', () => {
  const stdout = new PassThrough();
  assert.equal(
    accessLog({ format: 'off', keep: 5, url: 'full' }, { stdout, clock: systemClock, observe: () => {}, env: {} }),
    undefined,
  );
});

test('colours need a terminal without NO_COLOR', () => {
  assert.equal(wantsColours({ isTTY: true }, {}), true);
  assert.equal(wantsColours({ isTTY: true }, { NO_COLOR: '1' }), false);
  assert.equal(wantsColours({ isTTY: true }, { NO_COLOR: '' }), true);
  assert.equal(wantsColours({ isTTY: true }, { TERM: 'dumb' }), false);
  assert.equal(wantsColours({}, {}), false);
});

test('a file is appended to, and made anew when it was rotated away', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'viaduct-log-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'access.log');
  const first = open({ format: 'clf', file });
  first.log.observe(closed('GET'));
  await first.log[Symbol.asyncDispose]();

  const { log } = open({ format: 'clf', file });
  log.observe(closed('PUT'));
  while (readFileSync(file, 'utf8') !== clf('GET') + clf('PUT')) await new Promise(setImmediate);
  renameSync(file, join(folder, 'access.log.1'));
  log.reopen();
  while (!existsSync(file)) await new Promise(setImmediate);
  log.observe(closed('POST'));
  await log[Symbol.asyncDispose]();
  assert.equal(readFileSync(file, 'utf8'), clf('POST'));
  assert.equal(readFileSync(join(folder, 'access.log.1'), 'utf8'), clf('GET') + clf('PUT'));
});

test('a file that cannot be opened is an error at the start that names it', () => {
  assert.throws(() => open({ format: 'clf', file: '/nowhere/access.log' }), {
    name: 'LogFileError',
    message: 'log.file: /nowhere/access.log cannot be written: there is no such folder',
  });
});

test('a full disk crashes nothing and is reported', {
  skip: !existsSync('/dev/full') && 'needs /dev/full',
}, async () => {
  const said: string[] = [];
  const { log } = open({ format: 'clf', file: '/dev/full' }, said);
  log.observe(closed('GET'));
  await log[Symbol.asyncDispose]();
  assert.deepEqual(said, ['access log: cannot be written, lines wait: ENOSPC: no space left on device, write']);
});

/** Writes 10 MB of log in 100 turns of its event loop, then reports what it heard and holds, and ends by itself. */
const FLOOD = `
  const extension = ${JSON.stringify(import.meta.url.slice(import.meta.url.lastIndexOf('.')))};
  const { accessLog } = await import(${JSON.stringify(new URL('.', import.meta.url).href)} + 'access-log' + extension);
  const { systemClock } = await import(${JSON.stringify(new URL('../util/', import.meta.url).href)} + 'clock' + extension);
  const said = [];
  const log = accessLog({ format: 'clf' }, {
    stdout: process.stdout, clock: systemClock, env: {}, observe: (event) => said.push(event.message),
  });
  const event = ${JSON.stringify(closed('x'.repeat(1000)))};
  event.record.startedAt = new Date(0);
  for (let turn = 0; turn < 100; turn++) {
    for (let n = 0; n < 100; n++) log.observe(event);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  process.stderr.write(JSON.stringify({ said, queued: process.stdout.writableLength }));
  await log[Symbol.asyncDispose]();
  process.exit(0);
`;

test('a standard output without a reader stops neither the event loop nor the exit, and holds bounded memory', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', FLOOD], { stdio: ['ignore', 'pipe', 'pipe'] });
  const report = text(child.stderr);
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
  const { said, queued } = JSON.parse(await report);
  assert.deepEqual(said, ['access log: too slow, lines are being dropped']);
  assert.ok(queued <= 4096, `${queued} bytes in the stream`);
  child.stdout.destroy();
});

test('a standard output whose reader has left is not an error', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', FLOOD], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  const report = text(child.stderr);
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(await report).said, [
    'access log: its reader has closed it, no more lines are written: write EPIPE',
  ]);
});

test('notices are one line each, from the level on that holds when they come', async () => {
  const stderr = new PassThrough();
  let from: 'warn' | 'error' = 'warn';
  const quiet = notices({ stderr, clock: systemClock, from: () => from });
  quiet.observe({ type: 'notice', level: 'info', message: 'reloaded' });
  quiet.observe({ type: 'notice', level: 'warn', message: 'PAC "x" is gone\nviaduct: forged \x1b[2J' });
  quiet.observe(closed('GET'));
  from = 'error';
  quiet.observe({ type: 'notice', level: 'warn', message: 'after quiet was set' });
  await quiet[Symbol.asyncDispose]();
  stderr.end();
  assert.equal(await text(stderr), 'viaduct: PAC "x" is gone\\x0aviaduct: forged \\x1b[2J\n');
});
