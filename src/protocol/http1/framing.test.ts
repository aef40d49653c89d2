import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../../contracts/failure.ts';
import type { Framing, Headers } from '../../contracts/request.ts';
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
  test(`${JSON.stringify(value)} is not a valid length`, () => {
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

test('a request with both framings is refused, in either order', () => {
  assert.throws(() => requestFraming([CL('5'), TE('chunked')], '1.1'), code('bad_request'));
  assert.throws(() => requestFraming([TE('chunked'), CL('5')], '1.1'), code('bad_request'));
});

test('a coding in HTTP/1.0 is faulty in a request; in a response it is read, but never beside a length', () => {
  assert.throws(() => requestFraming([TE('chunked')], '1.0'), code('bad_request'));
  assert.deepEqual(responseFraming([TE('chunked')], 200, 'GET', '1.0'), { kind: 'chunked' });
  assert.deepEqual(responseFraming([TE('identity')], 200, 'GET', '1.0'), { kind: 'until-close' });
  for (const value of ['chunked', 'identity', 'gzip']) {
    assert.throws(() => responseFraming([TE(value), CL('5')], 200, 'GET', '1.0'), code('origin_protocol'));
    assert.throws(() => responseFraming([CL('5'), TE(value)], 200, 'GET', '1.0'), code('origin_protocol'));
  }
});

test('identity is not a coding: the response ends with its connection, and a length beside it is refused', () => {
  assert.deepEqual(responseFraming([TE('Identity')], 200, 'GET', '1.1'), { kind: 'until-close' });
  for (const headers of [
    [TE('identity'), CL('5')],
    [CL('5'), TE('identity')],
    [TE('identity'), CL('0')],
    [TE('identity'), TE('chunked')],
    [TE('identity'), TE('identity')],
  ]) {
    assert.throws(() => responseFraming(headers, 200, 'GET', '1.1'), code('origin_protocol'));
  }
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

test('two different lengths are refused even in a response without a body', () => {
  assert.throws(() => responseFraming([CL('5'), CL('6')], 200, 'HEAD', '1.1'), code('origin_protocol'));
});

for (const value of [
  'gzip, chunked',
  'chunked, chunked',
  'identity, chunked',
  'chunked, identity',
  'identity;q=1',
  '\xa0identity',
  'xidentity',
  'gzip',
]) {
  test(`a response with the coding ${value} is refused`, () => {
    assert.throws(() => responseFraming([TE(value)], 200, 'GET', '1.1'), code('origin_protocol'));
  });
}

function code(expected: string) {
  return (error: unknown) => error instanceof ProxyError && error.code === expected;
}
