import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineQueue } from './line-queue.ts';

function allOf(queue: LineQueue): string[] {
  const chunks: string[] = [];
  for (let chunk = queue.take(); chunk !== undefined; chunk = queue.take()) {
    chunks.push(chunk.toString());
    queue.written();
  }
  return chunks;
}

test('a chunk has whole lines, as many as it has space for', () => {
  const queue = new LineQueue(10);
  assert.deepEqual([queue.add('abcd'), queue.add('efgh'), queue.add('i')], [5, 5, 2]);
  assert.deepEqual(allOf(queue), ['abcd\nefgh\n', 'i\n']);
  assert.equal(queue.take(), undefined);
});

test('bytes are counted, not characters', () => {
  const queue = new LineQueue(10);
  assert.deepEqual([queue.add('ä€'), queue.add('🙂'), queue.add('x')], [6, 5, 2]);
  assert.deepEqual(allOf(queue), ['ä€\n', '🙂\nx\n']);
});

test('a line of any length is whole, in a chunk of its own when it is longer than one', () => {
  for (let length = 0; length < 24; length++) {
    for (const sign of ['x', '€']) {
      const long = sign.repeat(length);
      const queue = new LineQueue(10);
      const bytes = [queue.add('ab'), queue.add(long), queue.add('cd')];
      const chunks = allOf(queue);
      assert.equal(chunks.join(''), `ab\n${long}\ncd\n`);
      assert.equal(
        Buffer.byteLength(chunks.join('')),
        bytes.reduce((sum, one) => sum + one, 0),
      );
      const tooLong = chunks.filter((chunk) => Buffer.byteLength(chunk) > 10);
      assert.ok(
        tooLong.every((chunk) => chunk === `${long}\n`),
        tooLong.join(),
      );
    }
  }
});

test('a chunk that was taken is not written over before it is written', () => {
  const queue = new LineQueue(10);
  queue.add('one');
  const first = queue.take();
  queue.add('two');
  assert.equal(String(first), 'one\n');
  queue.written();
  const second = queue.take();
  queue.add('three');
  assert.equal(String(second), 'two\n');
  queue.written();
  assert.deepEqual(allOf(queue), ['three\n']);
});

test('a queue with little to do uses the same memory again', () => {
  const queue = new LineQueue(64);
  const used = new Set<ArrayBufferLike>();
  for (let n = 0; n < 100; n++) {
    queue.add(`line ${n}`);
    const chunk = queue.take() ?? assert.fail();
    used.add(chunk.buffer);
    queue.written();
  }
  assert.equal(used.size, 1);
});

test('what is cleared is not written', () => {
  const queue = new LineQueue(10);
  queue.add('long enough');
  queue.add('short');
  queue.clear();
  assert.equal(queue.take(), undefined);
  queue.add('next');
  assert.deepEqual(allOf(queue), ['next\n']);
});
