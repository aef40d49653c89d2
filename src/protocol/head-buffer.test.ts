import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HEAD_LIMITS, HeadBuffer, type HeadProgress } from './head-buffer.ts';

const collect = (wire: string | Buffer, cuts: readonly number[] = [], limits = HEAD_LIMITS): HeadProgress[] => {
  const bytes = typeof wire === 'string' ? Buffer.from(wire, 'latin1') : wire;
  const buffer = new HeadBuffer(limits);
  const ends = [...cuts, bytes.length];
  return ends.map((end, at) => buffer.add(bytes.subarray(ends[at - 1] ?? 0, end)));
};

test('finds the end of a head cut at any byte, and keeps what follows', () => {
  const wire = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01';
  for (let cut = 1; cut < wire.length; cut++) {
    const progress = collect(wire, [cut]);
    const at = progress.findIndex(({ at }) => at === 'head');
    const found = progress[at];
    assert.ok(found?.at === 'head', `cut at ${cut}`);
    assert.equal(found.head, 'GET / HTTP/1.1\r\nHost: a');
    // What comes after the head in another packet is not for this buffer.
    assert.equal(found.rest.toString('latin1'), wire.slice(27, at === 0 ? cut : undefined));
  }
});

test('a head that arrives byte by byte is one head', () => {
  const wire = 'HTTP/1.1 200 OK\r\nVia: 1.1 a\r\n\r\n';
  const last = collect(
    wire,
    [...wire].map((_, at) => at),
  ).at(-1);
  assert.deepEqual(last, { at: 'head', head: 'HTTP/1.1 200 OK\r\nVia: 1.1 a', rest: Buffer.alloc(0) });
});

test('the start line is shown once, as soon as it is whole', () => {
  const buffer = new HeadBuffer(HEAD_LIMITS);
  const seen = ['SSH-2.0-x', '\r', '\n', 'X'].map((text) => buffer.add(Buffer.from(text)));
  assert.deepEqual(seen, [{ at: 'more' }, { at: 'more' }, { at: 'more', startLine: 'SSH-2.0-x' }, { at: 'more' }]);
});

test('two empty lines in front are skipped, the third is a line', () => {
  assert.equal(collect('\r\n\r\nGET / HTTP/1.1\r\n\r\n')[0]?.at, 'head');
  const [third] = collect('\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n');
  assert.deepEqual(third?.at === 'head' && third.head, '');
});

test('the chunk may be overwritten afterwards', () => {
  const shared = Buffer.from('GET / HTTP/1.1\r\nA: 1\r\n\r\nrest');
  const buffer = new HeadBuffer(HEAD_LIMITS);
  buffer.add(shared.subarray(0, 10));
  const found = buffer.add(shared.subarray(10));
  shared.fill(0);
  assert.deepEqual(found, { at: 'head', head: 'GET / HTTP/1.1\r\nA: 1', rest: Buffer.from('rest') });
});

const small = { startLineBytesMax: 20, headBytesMax: 40, fieldsMax: 10 };
const REFUSALS: readonly (readonly [wire: string, why: string])[] = [
  [`GET /${'a'.repeat(30)}`, 'start-line-too-long'],
  [`GET /${'a'.repeat(30)} HTTP/1.1\r\n\r\n`, 'start-line-too-long'],
  [`GET / HTTP/1.1\r\nA: ${'a'.repeat(40)}`, 'head-too-large'],
  [`GET / HTTP/1.1\r\nA: ${'a'.repeat(40)}\r\n\r\n`, 'head-too-large'],
  ['GET / HTTP/1.1\nHost: a\n\n', 'bare-lf'],
  ['GET / HTTP/1.1\r\nHost: a\n', 'bare-lf'],
  ['\nGET', 'bare-lf'],
];
for (const [wire, why] of REFUSALS) {
  test(`refuses ${JSON.stringify(wire.slice(0, 40))} as ${why}, whole or cut at any byte`, () => {
    for (let cut = 0; cut < wire.length; cut++) {
      const refused = collect(wire, cut === 0 ? [] : [cut], small).find(({ at }) => at !== 'more');
      assert.ok(refused?.at === 'refused', `cut at ${cut}`);
      assert.equal(refused.why, why);
      assert.ok(wire.trimStart().startsWith(refused.begins.trim().slice(0, 3)));
    }
  });
}

test('a head of exactly the bound is taken, one byte more is not', () => {
  const head = 'GET / HTTP/1.1\r\nA: 1\r\n\r\n';
  const taken = (headBytesMax: number) => collect(head, [], { ...small, headBytesMax })[0]?.at;
  assert.equal(taken(head.length), 'head');
  assert.equal(taken(head.length - 1), 'refused');
});
