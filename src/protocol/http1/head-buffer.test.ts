import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HEAD_LIMITS, HeadBuffer, type HeadProgress, type LineEnds } from './head-buffer.ts';

const collect = (
  wire: string | Buffer,
  cuts: readonly number[] = [],
  limits = HEAD_LIMITS,
  lineEnds?: LineEnds,
): HeadProgress[] => {
  const bytes = typeof wire === 'string' ? Buffer.from(wire, 'latin1') : wire;
  const buffer = new HeadBuffer(limits, lineEnds);
  const ends = [...cuts, bytes.length];
  return ends.map((end, at) => buffer.add(bytes.subarray(ends[at - 1] ?? 0, end)));
};

test('finds the end of a head cut at any byte, and keeps the bytes behind it', () => {
  const wire = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01';
  for (let cut = 1; cut < wire.length; cut++) {
    const progress = collect(wire, [cut]);
    const at = progress.findIndex(({ at }) => at === 'head');
    const found = progress[at];
    assert.ok(found?.at === 'head', `cut at ${cut}`);
    assert.equal(found.head, 'GET / HTTP/1.1\r\nHost: a');
    // Bytes of later packets are not added to this buffer.
    assert.equal(found.rest.toString('latin1'), wire.slice(27, at === 0 ? cut : undefined));
  }
});

test('reads a head that arrives byte by byte', () => {
  const wire = 'HTTP/1.1 200 OK\r\nVia: 1.1 a\r\n\r\n';
  const last = collect(
    wire,
    [...wire].map((_, at) => at),
  ).at(-1);
  assert.deepEqual(last, { at: 'head', head: 'HTTP/1.1 200 OK\r\nVia: 1.1 a', rest: Buffer.alloc(0) });
});

test('the start line is returned once, as soon as it is complete', () => {
  const buffer = new HeadBuffer(HEAD_LIMITS);
  const seen = ['SSH-2.0-x', '\r', '\n', 'X'].map((text) => buffer.add(Buffer.from(text)));
  assert.deepEqual(seen, [{ at: 'more' }, { at: 'more' }, { at: 'more', startLine: 'SSH-2.0-x' }, { at: 'more' }]);
});

test('two empty lines before the head are skipped, a third is not', () => {
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

test('a head of exactly the limit is accepted, one byte more is refused', () => {
  const head = 'GET / HTTP/1.1\r\nA: 1\r\n\r\n';
  const taken = (headBytesMax: number) => collect(head, [], { ...small, headBytesMax })[0]?.at;
  assert.equal(taken(head.length), 'head');
  assert.equal(taken(head.length - 1), 'refused');
});

test('bytes behind a head are copied from a shared chunk, and not from a fresh one', () => {
  for (const [ownership, isCopied] of [
    ['shared', true],
    ['fresh', false],
  ] as const) {
    const chunk = Buffer.from('GET / HTTP/1.1\r\n\r\nbehind');
    const progress = new HeadBuffer(HEAD_LIMITS).add(chunk, ownership);
    chunk.fill('X');
    assert.equal(progress.at === 'head' && progress.rest.toString(), isCopied ? 'behind' : 'XXXXXX');
  }
});

const HEADS: readonly (readonly [wire: string, head: string])[] = [
  ['HTTP/1.1 200 OK\r\nA: 1\r\n\r\n', 'HTTP/1.1 200 OK\r\nA: 1'],
  ['HTTP/1.1 200 OK\r\n\r\n', 'HTTP/1.1 200 OK'],
  ['HTTP/1.1 200 OK\nA: 1\r\n\r\n', 'HTTP/1.1 200 OK\nA: 1'],
  ['HTTP/1.1 200 OK\nA: 1\n\n', 'HTTP/1.1 200 OK\nA: 1\n'],
  ['HTTP/1.1 200 OK\r\nA: 1\n\r\n', 'HTTP/1.1 200 OK\r\nA: 1\n'],
  ['HTTP/1.1 200 OK\r\nA: 1\r\n\n', 'HTTP/1.1 200 OK\r\nA: 1\n'],
  ['HTTP/1.1 200 OK\n\n', 'HTTP/1.1 200 OK\n'],
  ['HTTP/1.1 200 OK\r\n\n', 'HTTP/1.1 200 OK\n'],
  ['\r\nHTTP/1.1 200 OK\n\n', 'HTTP/1.1 200 OK\n'],
];
for (const [wire, head] of HEADS) {
  test(`${JSON.stringify(wire)} is the head of a response, whole or cut at any byte`, () => {
    // A second end of a head is payload.
    const all = `${wire}a\n\r\nb\n\nc\r\n\r\n`;
    for (let cut = 0; cut < wire.length; cut++) {
      const found = collect(all, cut === 0 ? [] : [cut], HEAD_LIMITS, 'lf-too').find(({ at }) => at !== 'more');
      assert.ok(found?.at === 'head', `cut at ${cut}`);
      assert.deepEqual([found.head, found.rest.toString()], [head, 'a\n\r\nb\n\nc\r\n\r\n']);
    }
    const last = collect(
      wire,
      [...wire].map((_, at) => at),
      HEAD_LIMITS,
      'lf-too',
    ).at(-1);
    assert.deepEqual(last, { at: 'head', head, rest: Buffer.alloc(0) });
  });
}

test('the limits apply to a response whose payload looks like the end of a head', () => {
  const wire = `HTTP/1.1 200 OK\n\n${'a'.repeat(100)}\n\r\n`;
  assert.equal(collect(wire, [], { ...small, headBytesMax: 17 }, 'lf-too')[0]?.at, 'head');
  const refused = collect(wire, [], { ...small, headBytesMax: 16 }, 'lf-too')[0];
  assert.equal(refused?.at === 'refused' && refused.why, 'head-too-large');
});

test('a status line is returned as soon as it is complete, with CRLF or LF behind it', () => {
  for (const [sent, startLine] of [
    ['SSH-2.0-x\n', 'SSH-2.0-x'],
    ['SSH-2.0-x\r\n', 'SSH-2.0-x'],
    ['\n', ''],
  ] as const) {
    assert.deepEqual(new HeadBuffer(HEAD_LIMITS, 'lf-too').add(Buffer.from(sent)), { at: 'more', startLine });
  }
});
