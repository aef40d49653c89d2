import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../../contracts/failure.ts';
import { type FieldRules, parseFields } from './fields.ts';

const rules = (fieldsMax = 100): FieldRules => ({ fieldsMax, blame: 'bad_request', tooMany: 'head_too_large' });
const refused = (text: string, code = 'bad_request') =>
  assert.throws(
    () => parseFields(text, 0, rules()),
    (error) => error instanceof ProxyError && error.code === code && error.fault === error.detail,
    JSON.stringify(text),
  );

test('keeps order, case and every octet of a value', () => {
  assert.deepEqual(parseFields("X-B: 2\r\nx!#$%&'*+-.^_`|~9:\t1 \r\nX-B: caf\xe9\tx\r\nE:", 0, rules()), [
    ['X-B', '2'],
    ["x!#$%&'*+-.^_`|~9", '1'],
    ['X-B', 'caf\xe9\tx'],
    ['E', ''],
  ]);
});

test('NBSP is obs-text and is not trimmed', () => {
  assert.deepEqual(parseFields('A: \xa0x\xa0', 0, rules()), [['A', '\xa0x\xa0']]);
});

for (const line of ['GARBAGE', ': 1', 'A B: 1', 'A(: 1', 'X-\xe9: 1', 'A\0: 1', '"A": 1']) {
  test(`${JSON.stringify(line)} has no valid name`, () => refused(line));
}

for (const value of ['a\0b', 'a\rb', 'a\nb', 'a\x0bb', 'a\x7fb', '\x1b[2J', 'a\x00', '\x01']) {
  test(`${JSON.stringify(value)} is not a valid value`, () => refused(`A: ${value}`));
}

test('white space before the colon is refused', () => {
  refused('Content-Length : 5');
  refused('Content-Length\t: 5');
});

test('a folded line is refused', () => {
  refused('A: 1\r\n 2');
  refused(' A: 1');
});

test('too many lines have a failure code of their own', () => {
  assert.equal(parseFields('A: 1\r\n'.repeat(3).trimEnd(), 0, rules(3)).length, 3);
  assert.throws(
    () => parseFields('A: 1\r\n'.repeat(4).trimEnd(), 0, rules(3)),
    (error) => error instanceof ProxyError && error.code === 'head_too_large',
  );
});
