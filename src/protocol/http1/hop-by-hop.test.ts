import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allowedTrailers, endToEnd } from './hop-by-hop.ts';

test('keeps end-to-end fields with their order and case', () => {
  const headers = [
    ['Set-Cookie', 'a=1'],
    ['X-a', '1'],
    ['set-cookie', 'b=2'],
  ] as const;
  assert.deepEqual(endToEnd(headers), headers);
});

test('drops the fields of this hop whether or not they are nominated', () => {
  const gone = [
    'Connection',
    'Proxy-Connection',
    'Keep-Alive',
    'TE',
    'Transfer-Encoding',
    'Upgrade',
    'HTTP2-Settings',
    'Proxy-Authorization',
    'Proxy-Authenticate',
    'Proxy-Authentication-Info',
    'Content-Length',
    'Host',
  ];
  assert.deepEqual(endToEnd(gone.map((name) => [name, 'x'])), []);
  assert.deepEqual(endToEnd(gone.map((name) => [name.toUpperCase(), 'x'])), []);
});

test('drops the fields that any Connection line nominates, in any case', () => {
  const headers = [
    ['Connection', 'close, X-ONE'],
    ['x-one', '1'],
    ['connection', ',x-two,'],
    ['X-Two', '2'],
    ['X-Three', '3'],
  ] as const;
  assert.deepEqual(endToEnd(headers), [['X-Three', '3']]);
});

test('Connection cannot remove the fields that show a loop', () => {
  const headers = [
    ['Connection', 'Via, Max-Forwards'],
    ['Via', '1.1 a'],
    ['Max-Forwards', '3'],
  ] as const;
  assert.deepEqual(endToEnd(headers), headers.slice(1));
});

test('trailers may describe the content, but not frame, route or authenticate', () => {
  const arrived = ['Digest', 'Server-Timing', 'X-T', 'Grpc-Status'].map((name) => [name, '1'] as const);
  const refused = ['Content-Length', 'Transfer-Encoding', 'Host', 'Cookie', 'Set-Cookie', 'Authorization', 'If-Match'];
  const all = [...arrived, ...refused.map((name) => [name, '1'] as const)];
  assert.deepEqual(allowedTrailers(all, []), arrived);
  assert.deepEqual(allowedTrailers(all, ['x-t']), [arrived[0], arrived[1], arrived[3]]);
});
