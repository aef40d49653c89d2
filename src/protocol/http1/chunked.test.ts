import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ProxyError } from '../../contracts/failure.ts';
import { ChunkedDecoder, chunkHead } from './chunked.ts';
import { Repairs } from './response-fields.ts';

/** Decodes pieces, each in a buffer of its own, as reads arrive. */
function decode(
  pieces: readonly string[],
  repairs?: Repairs,
): { payload: string; left: string; decoder: ChunkedDecoder } {
  const decoder = new ChunkedDecoder('bad_request', repairs);
  let payload = '';
  let left = '';
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, 'latin1');
    const part = decoder.decode(bytes);
    payload += part.payload.toString('latin1');
    left += bytes.subarray(part.used).toString('latin1') === '' ? '' : piece.slice(part.used);
  }
  return { payload, left, decoder };
}

const WIRE = '5;a="b;c"\r\nhello\r\n001\r\n \r\n6 ; x\r\nworld!\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\nGET /next';

test('decodes chunks cut at any byte, and leaves the bytes behind them', () => {
  for (let cut = 0; cut <= WIRE.length; cut++) {
    const { payload, left, decoder } = decode([WIRE.slice(0, cut), WIRE.slice(cut)]);
    assert.equal(payload, 'hello world!', `cut at ${cut}`);
    assert.equal(left, 'GET /next');
    assert.equal(decoder.done, true);
    assert.deepEqual(decoder.trailers, [
      ['X-T', '1'],
      ['X-U', '2'],
    ]);
  }
});

test('decodes byte by byte', () => {
  const { payload, decoder } = decode([...WIRE]);
  assert.deepEqual([payload, decoder.done], ['hello world!', true]);
});

test('any payload in chunks is decoded to itself, cut anywhere', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 })), fc.array(fc.nat(2000)), (chunks, cuts) => {
      const texts = chunks.map((chunk) => Buffer.from(chunk).toString('latin1'));
      const wire = `${texts.map((text) => `${chunkHead(text.length)}${text}\r\n`).join('')}0\r\n\r\n`;
      const ends = [...new Set(cuts.map((cut) => cut % wire.length)), wire.length].sort((a, b) => a - b);
      const { payload, left, decoder } = decode(ends.map((end, at) => wire.slice(ends[at - 1] ?? 0, end)));
      assert.deepEqual([payload, left, decoder.done], [texts.join(''), '', true]);
    }),
  );
});

test('an empty body, and a last chunk of several zeros', () => {
  assert.equal(decode(['0\r\n\r\n']).decoder.done, true);
  assert.equal(decode(['000;x\r\n\r\n']).decoder.done, true);
});

test('twelve digits of size are exact', () => {
  const { decoder } = decode(['00000ffffffffffff\r\n']);
  assert.equal(decoder.done, false);
});

const REFUSED: readonly (readonly [what: string, wire: string])[] = [
  ['0x', '0x5\r\n'],
  ['a sign', '+5\r\n'],
  ['a negative size', '-5\r\n'],
  ['no size', '\r\n'],
  ['no size before an extension', ';a\r\n'],
  ['a word', 'five\r\n'],
  ['a space behind the size', '5 \r\n'],
  ['a space before the size', ' 5\r\n'],
  ['13 digits', '1000000000000\r\n'],
  ['a bare LF behind the size', '5\nhello'],
  ['CR CR LF', '5\r\r\n'],
  ['a bare LF in an extension', '5;a\nb\r\n'],
  ['a bare CR in an extension', '5;a\rb\r\n'],
  ['NUL in an extension', '5;\0\r\n'],
  ['data longer than its size', '3\r\nabcdef\r\n'],
  ['data that ends in a bare LF', '3\r\nabc\n'],
  ['data that ends in a bare CR', '3\r\nabc\rX'],
  ['an endless size line', `5;${'a'.repeat(1100)}`],
  ['a trailer without a colon', '0\r\nGARBAGE\r\n\r\n'],
  ['a folded trailer', '0\r\nA: 1\r\n 2\r\n\r\n'],
  ['white space before the colon of a trailer', '0\r\nA : 1\r\n\r\n'],
  ['a trailer that ends in a bare LF', '0\r\nA: 1\n\r\n'],
  ['an endless trailer', `0\r\nA: ${'a'.repeat(9000)}`],
  ['too many trailers', `0\r\n${'A: 1\r\n'.repeat(51)}\r\n`],
];
for (const [what, wire] of REFUSED) {
  test(`refuses ${what}, whole or cut at any byte`, () => {
    for (let cut = 0; cut < Math.min(wire.length, 40); cut++) {
      assert.throws(
        () => decode([wire.slice(0, cut), wire.slice(cut)]),
        (error) => error instanceof ProxyError && error.code === 'bad_request',
        `cut at ${cut}`,
      );
    }
  });
}

const REPAIRED: readonly (readonly [what: string, wire: string, trailers: readonly (readonly [string, string])[]])[] = [
  ['blanks behind the sizes', '5   \r\nhello\r\n0\t\r\n\r\n', []],
  ['a control character in a trailer', '5\r\nhello\r\n0\r\nA: a\x01b\r\n\r\n', [['A', 'a b']]],
  ['a folded trailer', '5\r\nhello\r\n0\r\nA: 1\r\n 2\r\n\r\n', [['A', '1 2']]],
  ['a trailer with a bad name', '5\r\nhello\r\n0\r\nA B: 1\r\nC: 2\r\n\r\n', [['C', '2']]],
];
for (const [what, wire, trailers] of REPAIRED) {
  test(`repaired in a response, cut at any byte: ${what}`, () => {
    for (let cut = 0; cut <= wire.length; cut++) {
      const repairs = new Repairs();
      const { payload, decoder } = decode([wire.slice(0, cut), wire.slice(cut)], repairs);
      assert.deepEqual([payload, decoder.done, decoder.trailers, repairs.made], ['hello', true, trailers, true]);
    }
    assert.throws(() => decode([wire]), ProxyError, 'a request');
  });
}

test('a response with well-formed chunks is not repaired', () => {
  const repairs = new Repairs();
  assert.equal(decode([WIRE], repairs).payload, 'hello world!');
  assert.equal(repairs.made, false);
});

const BORNE = ['a space behind the size', 'a folded trailer', 'white space before the colon of a trailer'];
for (const [what, wire] of REFUSED.filter(([name]) => !BORNE.includes(name))) {
  test(`a response is refused for ${what}, too`, () => {
    for (let cut = 0; cut < Math.min(wire.length, 40); cut++)
      assert.throws(() => decode([wire.slice(0, cut), wire.slice(cut)], new Repairs()), ProxyError, `cut at ${cut}`);
  });
}

for (const wire of [
  '5 \nhello',
  '5 x\r\n',
  '5 5\r\n',
  '5\xa0\r\n',
  '5\x0b\r\n',
  '5 \r\r\n',
  '5 \0\r\n',
  '\t\r\n',
  '0 \n\n',
]) {
  test(`a response is refused for the size line ${JSON.stringify(wire)}`, () => {
    assert.throws(() => decode([wire], new Repairs()), ProxyError);
  });
}
