import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FailureCode } from '../../contracts/failure.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Headers } from '../../contracts/request.ts';
import { parseResponseFields, Repairs } from './response-fields.ts';

function parse(text: string, fieldsMax = 100): { fields: Headers; isRepaired: boolean } {
  const repairs = new Repairs();
  const rules = { fieldsMax, blame: 'origin_protocol', tooMany: 'origin_head_too_large' } as const;
  return { fields: parseResponseFields(text, 0, rules, repairs), isRepaired: repairs.made };
}

const refused = (text: string, code: FailureCode = 'origin_protocol', fieldsMax?: number) =>
  assert.throws(
    () => parse(text, fieldsMax),
    (error) => error instanceof ProxyError && error.code === code && error.fault === error.detail,
    JSON.stringify(text),
  );

test('well-formed fields are not repaired', () => {
  assert.deepEqual(parse("X-B: 2\r\nx!#$%&'*+-.^_`|~9:\t1 \r\nX-B: caf\xe9\tx\r\nE:"), {
    fields: [
      ['X-B', '2'],
      ["x!#$%&'*+-.^_`|~9", '1'],
      ['X-B', 'caf\xe9\tx'],
      ['E', ''],
    ],
    isRepaired: false,
  });
});

const REPAIRED: readonly (readonly [what: string, text: string, fields: Headers])[] = [
  ['a control character inside a value is SP', 'A: a\x01b', [['A', 'a b']]],
  ['each of several', 'A: \x1b[2J\x0b\x7fz', [['A', '[2J  z']]],
  ['one at an end goes', 'A: \x01a\x1f', [['A', 'a']]],
  [
    'a value of control characters alone is empty',
    'A: \x0c\r\nB: 1',
    [
      ['A', ''],
      ['B', '1'],
    ],
  ],
  [
    'lines end in LF',
    'A: 1\nB: 2\r\nC: 3\nD:4',
    [
      ['A', '1'],
      ['B', '2'],
      ['C', '3'],
      ['D', '4'],
    ],
  ],
  ['white space before a colon goes', 'Content-Length \t: 5', [['Content-Length', '5']]],
  [
    'folds are one SP',
    'A: 1\r\n \t 2 \r\n\t3\r\nB:\n 4',
    [
      ['A', '1 2 3'],
      ['B', '4'],
    ],
  ],
  ['a control character in a fold', 'A: 1\r\n 2\x012', [['A', '1 2 2']]],
  [
    'a field with spaces in its name is left out',
    'A: 1\r\nInvalid Name: x\r\nB: 2',
    [
      ['A', '1'],
      ['B', '2'],
    ],
  ],
  [
    'and its folds',
    'A: 1\r\nB(: x\r\n y\r\n\tz\r\nC: 2',
    [
      ['A', '1'],
      ['C', '2'],
    ],
  ],
  ['no name at all', ': 1\r\nA: 1', [['A', '1']]],
  ['a name above ASCII', 'X-\xe9: 1\r\nA: 1', [['A', '1']]],
  ['a quoted name', '"A": 1\r\nA: 1', [['A', '1']]],
  ['a control character in a name', 'A\x01B: 1\r\nA: 1', [['A', '1']]],
];
for (const [what, text, fields] of REPAIRED) {
  test(`repaired: ${what}`, () => assert.deepEqual(parse(text), { fields, isRepaired: true }));
}

for (const text of [
  'GARBAGE',
  'A: 1\r\nGARBAGE\r\nB: 2',
  'A: a\nb',
  'A: a\0b',
  'A: a\rSet-Cookie: evil=1',
  'A: a\r\r\nB: 1',
  'A: 1\r\n \0',
  'A: 1\r\n b\rc',
  ' A: 1',
  '\tA: 1',
  'A\0: 1',
  'A\rB: 1',
  'A B: a\0b',
  'A B: 1\r\n \0',
  'Content-Length: 5\x01',
  'Content-Length: \x0b5',
  'Transfer-Encoding: \x0bchunked',
  'transfer-encoding: chunked\x7f',
  'Transfer-Encoding:\r\n \x0bchunked',
  'Content-Length\x0b: 5',
  'Content Length: 5',
  '\x01content-length: 5',
  'Transfer-Encoding\xa0: chunked',
  'Transfer Encoding: chunked',
  '"Transfer-Encoding": chunked',
]) {
  test(`refused: ${JSON.stringify(text)}`, () => refused(text));
}

test('too many lines have a failure code of their own; lines that are left out count', () => {
  assert.equal(parse('A: 1\r\n'.repeat(3), 3).fields.length, 3);
  refused('A: 1\r\n'.repeat(4), 'origin_head_too_large', 3);
  refused('A B: 1\r\n'.repeat(4), 'origin_head_too_large', 3);
});
