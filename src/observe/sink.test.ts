import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { Outlet, WriteResult } from './outlet.ts';
import { type Sink, sink } from './sink.ts';

/** An outlet that finishes a write when the test says so. */
class HeldOutlet implements Outlet {
  readonly chunkBytesMax: number = 64;
  readonly seen: string[] = [];
  closed = 0;
  #done: ((result: WriteResult) => void) | undefined;
  #reopened: ((error: Error | undefined) => void) | undefined;
  write(chunk: Buffer, done: (result: WriteResult) => void): void {
    assert.equal(this.#done, undefined, 'two writes at once');
    this.seen.push(chunk.toString());
    this.#done = done;
  }
  reopen(done: (error: Error | undefined) => void): void {
    this.seen.push('reopen');
    this.#reopened = done;
  }
  close(): void {
    this.closed += 1;
  }
  answer(result: WriteResult): void {
    const done = this.#done;
    this.#done = undefined;
    assert.ok(done, 'no write is under way');
    done(result);
  }
  reopened(error?: Error): void {
    this.#reopened?.(error);
  }
  all(): void {
    this.answer({ at: 'written', bytes: this.seen.at(-1)?.length ?? 0 });
  }
}

function setUp(bytesMax = 100): { out: Sink; outlet: HeldOutlet; clock: ManualClock; said: string[] } {
  const outlet = new HeldOutlet();
  const clock = new ManualClock();
  const said: string[] = [];
  const out = sink({
    name: 'log',
    outlet,
    clock,
    observe: (event) => said.push(event.type === 'notice' ? event.message : event.type),
    dropped: (lines) => `(${lines} lost)`,
    bytesMax,
  });
  return { out, outlet, clock, said };
}
const failure = (code: string): NodeJS.ErrnoException => Object.assign(new Error(`${code}: it failed`), { code });

test('lines that come close together leave in one write, in order', async () => {
  const { out, outlet, clock } = setUp();
  out.write('one');
  out.write('two');
  assert.deepEqual(outlet.seen, []);
  clock.advance(50);
  assert.deepEqual(outlet.seen, ['one\ntwo\n']);
  out.write('three');
  clock.advance(50);
  assert.deepEqual(outlet.seen, ['one\ntwo\n']);
  outlet.all();
  clock.advance(50);
  assert.deepEqual(outlet.seen, ['one\ntwo\n', 'three\n']);
});

test('a write that took only a part goes on where it stopped', async () => {
  const { out, outlet, clock } = setUp();
  out.write('abcdef');
  clock.advance(50);
  outlet.answer({ at: 'written', bytes: 4 });
  assert.deepEqual(outlet.seen, ['abcdef\n', 'ef\n']);
});

test('a full queue drops lines, with one notice, and writes the gap into the log when half of it has left', async () => {
  const { out, outlet, clock, said } = setUp(100);
  const line = 'x'.repeat(24);
  for (let n = 0; n < 4; n++) out.write(line);
  out.write('lost 1');
  out.write('lost 2');
  clock.advance(50);
  assert.deepEqual(said, ['log: too slow, lines are being dropped']);
  outlet.all(); // two lines of 25 bytes: exactly half is left
  out.write('after the gap');
  outlet.all();
  clock.advance(50);
  outlet.all();
  assert.equal(outlet.seen.join(''), `${`${line}\n`.repeat(4)}(2 lost)\nafter the gap\n`);
  assert.equal(said.length, 1);

  for (let n = 0; n < 9; n++) out.write(line);
  assert.equal(said.length, 1, 'not again within ten seconds');
  clock.advance(10_000);
  out.write(line);
  assert.equal(said.length, 2);
});

test('a full disk keeps the lines and tries again each second', async () => {
  const { out, outlet, clock, said } = setUp();
  out.write('kept');
  clock.advance(50);
  outlet.answer({ at: 'again', error: failure('ENOSPC') });
  clock.advance(999);
  assert.deepEqual(outlet.seen, ['kept\n']);
  clock.advance(1);
  assert.deepEqual(outlet.seen, ['kept\n', 'kept\n']);
  outlet.all();
  assert.deepEqual(said, ['log: cannot be written, lines wait: ENOSPC: it failed']);
});

test('a stopped terminal is tried again soon, and in silence', async () => {
  const { out, outlet, clock, said } = setUp();
  out.write('kept');
  clock.advance(50);
  outlet.answer({ at: 'again', error: failure('EAGAIN') });
  clock.advance(20);
  assert.deepEqual(outlet.seen, ['kept\n', 'kept\n']);
  assert.deepEqual(said, []);
});

test('a reader that has gone ends the log, not the process', async () => {
  const { out, outlet, said, clock } = setUp();
  out.write('one');
  clock.advance(50);
  outlet.answer({ at: 'fatal', error: failure('EPIPE') });
  out.write('two');
  clock.advance(50);
  assert.deepEqual(outlet.seen, ['one\n']);
  assert.deepEqual(said, ['log: its reader has closed it, no more lines are written: EPIPE: it failed']);
  await out[Symbol.asyncDispose]();
  assert.equal(outlet.closed, 1);
});

test('reopening waits for the write under way, and goes on with the next line', async () => {
  const { out, outlet, said, clock } = setUp();
  out.write('old');
  clock.advance(50);
  out.reopen();
  out.write('new');
  outlet.all();
  assert.deepEqual(outlet.seen, ['old\n', 'reopen']);
  outlet.reopened();
  assert.deepEqual(outlet.seen, ['old\n', 'reopen', 'new\n']);
  outlet.all();
  out.reopen();
  outlet.reopened(failure('EACCES'));
  assert.deepEqual(said, ['log: the new file cannot be opened, the old one goes on: EACCES: it failed']);
});

test('reopening does not wait for the next try on a full disk', async () => {
  const { out, outlet, clock } = setUp();
  out.write('kept');
  clock.advance(50);
  outlet.answer({ at: 'again', error: failure('ENOSPC') });
  out.reopen();
  outlet.reopened();
  assert.deepEqual(outlet.seen, ['kept\n', 'reopen', 'kept\n']);
});

test('the end waits for what is written, but not for ever', async () => {
  const quick = setUp();
  quick.out.write('last');
  const written = quick.out[Symbol.asyncDispose]();
  quick.clock.advance(50);
  quick.outlet.all();
  await written;
  assert.equal(quick.outlet.closed, 1);

  const stalled = setUp();
  stalled.out.write('last');
  const given = stalled.out[Symbol.asyncDispose]();
  stalled.clock.advance(50);
  stalled.clock.advance(1000);
  await given;
  assert.equal(stalled.outlet.closed, 1);
  stalled.outlet.all();
  stalled.out.write('too late');
  stalled.clock.advance(50);
  assert.deepEqual(stalled.outlet.seen, ['last\n']);
});
