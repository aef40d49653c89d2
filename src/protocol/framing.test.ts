import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../core/failure.ts';
import type { Framing, Headers } from '../core/request.ts';
import { requestFraming, responseFraming } from './framing.ts';

const CL = (value: string): [string, string] => ['Content-Length', value];
const TE = (value: string): [string, string] => ['Transfer-Encoding', value];
const length = (bytes: number): Framing => ({ kind: 'length', bytes });

const REQUESTS: readonly (readonly [name: string, headers: Headers, framing: Framing])[] = [
  ['nothing', [], { kind: 'none' }],
  ['a length', [CL('5')], length(5)],
  ['a length of 0', [CL('0')], length(0)],
  ['a length with leading zeros', [CL('0005')], length(5)],
  ['one length twice', [CL('5'), CL('5')], length(5)],
  ['one length in a list', [CL('5, 5')], length(5)],
  ['chunked', [TE('chunked')], { kind: 'chunked' }],
  ['chunked in any case, with empty members', [TE(', CHUNKED ,')], { kind: 'chunked' }],
];
for (const [name, headers, framing] of REQUESTS) {
  test(`a request with ${name}`, () => assert.deepEqual(requestFraming(headers, '1.1'), framing));
}

const BAD_LENGTHS = [
  '',
  ' ',
  '+5',
  '-5',
  '0x5',
  '5 5',
  '5,6',
  '5,',
  '5.0',
  '5e0',
  '5;a',
  '9'.repeat(16),
  '\xb2',
  'NaN',
];
for (const value of BAD_LENGTHS) {
  test(`no message has the length ${JSON.stringify(value)}`, () => {
    assert.throws(() => requestFraming([CL(value)], '1.1'), code('bad_request'));
    assert.throws(() => responseFraming([CL(value)], 200, 'GET', '1.1'), code('origin_protocol'));
  });
}

const BAD_CODINGS: readonly (readonly [value: string, code: string])[] = [
  ['', 'bad_request'],
  ['identity', 'bad_request'],
  ['xchunked', 'bad_request'],
  ['"chunked"', 'bad_request'],
  ['chunked;q=1', 'bad_request'],
  ['chunked foo', 'bad_request'],
  ['chunked, chunked', 'bad_request'],
  ['chunked, gzip', 'bad_request'],
  ['chunked, identity', 'bad_request'],
  ['chunked, gzip, chunked', 'bad_request'],
  ['gzip, chunked', 'not_implemented'],
  ['identity, chunked', 'not_implemented'],
];
for (const [value, expected] of BAD_CODINGS) {
  test(`a request with the coding ${JSON.stringify(value)} is ${expected}`, () => {
    assert.throws(() => requestFraming([TE(value)], '1.1'), code(expected));
  });
}

test('a request with both framings, in whatever order, is refused', () => {
  assert.throws(() => requestFraming([CL('5'), TE('chunked')], '1.1'), code('bad_request'));
  assert.throws(() => requestFraming([TE('chunked'), CL('5')], '1.1'), code('bad_request'));
});

test('a coding in HTTP/1.0 is faulty on both sides', () => {
  assert.throws(() => requestFraming([TE('chunked')], '1.0'), code('bad_request'));
  assert.throws(() => responseFraming([TE('chunked')], 200, 'GET', '1.0'), code('origin_protocol'));
});

const ANSWERS: readonly (readonly [status: number, method: string, headers: Headers, framing: Framing])[] = [
  [200, 'GET', [], { kind: 'until-close' }],
  [200, 'GET', [CL('5')], length(5)],
  [200, 'GET', [TE('chunked')], { kind: 'chunked' }],
  [200, 'GET', [TE('chunked'), CL('5')], { kind: 'chunked' }],
  [200, 'HEAD', [CL('5')], { kind: 'none' }],
  [200, 'HEAD', [TE('chunked')], { kind: 'none' }],
  [304, 'GET', [CL('5')], { kind: 'none' }],
  [204, 'GET', [CL('5')], { kind: 'none' }],
  [101, 'GET', [], { kind: 'none' }],
  [103, 'GET', [CL('5')], { kind: 'none' }],
];
for (const [status, method, headers, framing] of ANSWERS) {
  test(`a ${status} to ${method} with ${JSON.stringify(headers)} is ${framing.kind}`, () => {
    assert.deepEqual(responseFraming(headers, status, method, '1.1'), framing);
  });
}

test('two lengths poison even an answer without a body', () => {
  assert.throws(() => responseFraming([CL('5'), CL('6')], 200, 'HEAD', '1.1'), code('origin_protocol'));
});

for (const value of ['gzip, chunked', 'chunked, chunked', 'identity', 'gzip']) {
  test(`an answer with the coding ${value} is broken: nobody asked for it`, () => {
    assert.throws(() => responseFraming([TE(value)], 200, 'GET', '1.1'), code('origin_protocol'));
  });
}

function code(expected: string) {
  return (error: unknown) => error instanceof ProxyError && error.code === expected;
}
