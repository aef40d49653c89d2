import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../core/failure.ts';
import { type FieldRules, parseFields } from './fields.ts';

const rules = (repair: FieldRules['repair'], fieldsMax = 100): FieldRules => ({
  fieldsMax,
  blame: 'bad_request',
  tooMany: 'head_too_large',
  repair,
});
const refused = (text: string, repair: FieldRules['repair'], code = 'bad_request') =>
  assert.throws(
    () => parseFields(text, 0, rules(repair)),
    (error) => error instanceof ProxyError && error.code === code,
    JSON.stringify(text),
  );

test('keeps order, case and every octet of a value', () => {
  assert.deepEqual(parseFields("X-B: 2\r\nx!#$%&'*+-.^_`|~9:\t1 \r\nX-B: caf\xe9\tx\r\nE:", 0, rules('refuse')), [
    ['X-B', '2'],
    ["x!#$%&'*+-.^_`|~9", '1'],
    ['X-B', 'caf\xe9\tx'],
    ['E', ''],
  ]);
});

test('NBSP is a letter of obs-text and is not trimmed', () => {
  assert.deepEqual(parseFields('A: \xa0x\xa0', 0, rules('refuse')), [['A', '\xa0x\xa0']]);
});

for (const line of ['GARBAGE', ': 1', 'A B: 1', 'A(: 1', 'X-\xe9: 1', 'A\0: 1', '"A": 1']) {
  test(`no name in ${JSON.stringify(line)}`, () => {
    refused(line, 'refuse');
    refused(line, 'repair');
  });
}

for (const value of ['a\0b', 'a\rb', 'a\nb', 'a\x0bb', 'a\x7fb', '\x1b[2J', 'a\x00']) {
  test(`no value ${JSON.stringify(value)}`, () => {
    refused(`A: ${value}`, 'refuse');
    refused(`A: ${value}`, 'repair');
  });
}

test('white space before the colon is an attack in a request and is removed from an answer', () => {
  refused('Content-Length : 5', 'refuse');
  refused('Content-Length\t: 5', 'refuse');
  assert.deepEqual(parseFields('Content-Length \t: 5', 0, rules('repair')), [['Content-Length', '5']]);
});

test('a folded line is an attack in a request and one space in an answer', () => {
  refused('A: 1\r\n 2', 'refuse');
  refused(' A: 1', 'refuse');
  refused(' A: 1', 'repair');
  assert.deepEqual(parseFields('A: 1\r\n \t 2 \r\n\t3\r\nB: 4', 0, rules('repair')), [
    ['A', '1 2 3'],
    ['B', '4'],
  ]);
  refused('A: 1\r\n \0', 'repair');
});

test('more lines than allowed are refused by their own name', () => {
  assert.equal(parseFields('A: 1\r\n'.repeat(3).trimEnd(), 0, rules('refuse', 3)).length, 3);
  assert.throws(
    () => parseFields('A: 1\r\n'.repeat(4).trimEnd(), 0, rules('refuse', 3)),
    (error) => error instanceof ProxyError && error.code === 'head_too_large',
  );
});
