import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../../contracts/failure.ts';
import { parseResponseHead, parseStatusLine } from './response-head.ts';

test('splits a head, and leaves its fields unchanged', () => {
  assert.deepEqual(parseResponseHead('HTTP/1.1 200 OK\r\nA: 1\r\nB: 2', 10, 'origin_protocol').headers, [
    ['A', '1'],
    ['B', '2'],
  ]);
});

test('repairs heads of old servers; such a response is the last one of its connection', () => {
  assert.deepEqual(parseResponseHead('HTTP/1.0 404 Nicht da\r\nA : 1\r\nB: 2\r\n 3', 10, 'origin_protocol'), {
    version: '1.0',
    status: 404,
    reason: 'Nicht da',
    headers: [
      ['A', '1'],
      ['B', '2 3'],
      ['Connection', 'close'],
    ],
  });
});

for (const end of ['', '\r\nA: 1']) {
  test(`a head that ends in ${JSON.stringify(`${end}\n`)} closes its connection`, () => {
    assert.deepEqual(parseResponseHead(`HTTP/1.1 200 OK${end}\n`, 10, 'origin_protocol').headers.at(-1), [
      'Connection',
      'close',
    ]);
  });
}

for (const head of [
  'HTTP/1.1 200 OK\nA: 1',
  'HTTP/1.1 200 OK\nA: 1\r\nB: 1',
  'HTTP/1.1 200 OK\r\nA: 1\nB: 1',
  'HTTP/1.1 200 O\x01K\r\nA: 1',
  'HTTP/1.1 200 OK\r\nA: \x01',
  'HTTP/1.1 200 OK\r\nA B: 1',
]) {
  test(`${JSON.stringify(head)} closes its connection`, () => {
    assert.deepEqual(parseResponseHead(head, 10, 'origin_protocol').headers.at(-1), ['Connection', 'close']);
    const both = `${head}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked`;
    assert.throws(
      () => parseResponseHead(both, 10, 'origin_protocol'),
      (error) => error instanceof ProxyError && error.code === 'origin_protocol',
    );
  });
}

const LINES: readonly (readonly [line: string, status: number, reason: string])[] = [
  ['HTTP/1.1 200 OK', 200, 'OK'],
  ['HTTP/1.1 200 ', 200, ''],
  ['HTTP/1.1 200', 200, ''],
  ['HTTP/1.1 200 \x1b[2JO\x0bK', 200, '[2JO K'],
  ['HTTP/1.7 299 caf\xe9 \t!', 299, 'caf\xe9 \t!'],
];
for (const [line, status, reason] of LINES) {
  test(`reads ${JSON.stringify(line)}`, () => {
    const read = parseStatusLine(line, 'origin_protocol');
    assert.deepEqual([read.status, read.reason], [status, reason]);
  });
}

for (const line of [
  '',
  'HTTP/1.1',
  'HTTP/1.1 ',
  'HTTP/1.1 2000 OK',
  'HTTP/1.1 20 OK',
  'HTTP/1.1 099 OK',
  'HTTP/1.1  200 OK',
  'HTTP/1.1 200OK',
  'HTTP/2 200',
  'http/1.1 200 OK',
  ' HTTP/1.1 200 OK',
  'HTTP/1.1 200 O\rK',
  'HTTP/1.1 200 O\0K',
  'ICY 200 OK',
  'SSH-2.0-OpenSSH_9.2',
]) {
  test(`refuses ${JSON.stringify(line)} with the given code`, () => {
    for (const blame of ['origin_protocol', 'upstream_protocol'] as const) {
      assert.throws(
        () => parseStatusLine(line, blame),
        (error) => error instanceof ProxyError && error.code === blame,
      );
    }
  });
}

test('a head with too many fields is too large, not malformed', () => {
  assert.throws(
    () => parseResponseHead(`HTTP/1.1 200 OK${'\r\nA: 1'.repeat(4)}`, 3, 'origin_protocol'),
    (error) => error instanceof ProxyError && error.code === 'origin_head_too_large',
  );
});
