import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProxyError } from '../../contracts/failure.ts';
import { readHttp2Request } from './read-request.ts';

const GET = [':method', 'GET', ':scheme', 'http', ':authority', 'a.example', ':path', '/x?y'] as const;
const CONNECT = [':method', 'CONNECT', ':authority', 'a.example:443'] as const;
const WEB_SOCKET = [
  ...[':method', 'CONNECT', ':protocol', 'websocket', ':scheme', 'http', ':path', '/chat', ':authority', 'a.example'],
] as const;

const read = (raw: readonly string[], { isComplete = true } = {}) =>
  readHttp2Request(raw, {
    fieldsMax: 5,
    isComplete,
    isOurs: ({ host, port }) => host === 'proxy.example' && port === 8443,
  });

const code = (raw: readonly string[]): string => {
  try {
    return read(raw).kind;
  } catch (error) {
    assert.ok(error instanceof ProxyError);
    return error.code;
  }
};

test('a plain request is the URL that HTTP/1.1 would have', () => {
  assert.deepEqual(read([...GET, 'accept', '*/*']), {
    kind: 'forward',
    method: 'GET',
    target: 'http://a.example/x?y',
    authority: { host: 'a.example', port: 80 },
    path: '/x?y',
    headers: [
      ['host', 'a.example'],
      ['accept', '*/*'],
    ],
    framing: { kind: 'none' },
  });
});

test('a body is as long as it says, or ends with its stream', () => {
  assert.deepEqual(read([...GET, 'content-length', '3'], { isComplete: false }).framing, { kind: 'length', bytes: 3 });
  assert.deepEqual(read(GET, { isComplete: false }).framing, { kind: 'chunked' });
});

test('cookies that come in crumbs leave as one field', () => {
  const { headers } = read([...GET, 'cookie', 'a=1', 'x', 'y', 'cookie', 'b=2']);
  assert.deepEqual(headers.slice(1), [
    ['cookie', 'a=1; b=2'],
    ['x', 'y'],
  ]);
});

test('OPTIONS * is a URL without a path', () => {
  const options = read([':method', 'OPTIONS', ':scheme', 'http', ':authority', 'a.example', ':path', '*']);
  assert.deepEqual([options.kind, options.target], ['forward', 'http://a.example']);
});

test('a request for the proxy itself is recognised by its authority', () => {
  const own = [':method', 'GET', ':scheme', 'https', ':authority', 'proxy.example:8443', ':path', '/proxy.pac'];
  assert.deepEqual([read(own).kind, read(own).target], ['local', '/proxy.pac']);
});

test('an extended CONNECT is the handshake of a WebSocket', () => {
  const request = read([...WEB_SOCKET, 'sec-websocket-version', '13', 'sec-websocket-key', 'theirs']);
  assert.deepEqual([request.kind, request.method, request.target], ['forward', 'GET', 'http://a.example/chat']);
  const key = request.kind === 'forward' ? request.webSocketKey : undefined;
  assert.match(key ?? '', /^[\w+/]{22}==$/);
  assert.deepEqual(request.headers, [
    ['host', 'a.example'],
    ['sec-websocket-version', '13'],
    ['Connection', 'Upgrade'],
    ['Upgrade', 'websocket'],
    ['Sec-WebSocket-Key', key],
  ]);
});

const without = (raw: readonly string[], name: string): string[] => {
  const at = raw.indexOf(name);
  return raw.filter((_, index) => index !== at && index !== at + 1);
};
const instead = (raw: readonly string[], name: string, value: string): string[] =>
  raw.map((text, at) => (raw[at - 1] === name && at % 2 === 1 ? value : text));

/** What a reader of text could take for another message, and what is not served. */
const REFUSED: readonly (readonly [why: string, raw: readonly string[], expected: string])[] = [
  ['a name with upper case', [...GET, 'Accept', '*'], 'bad_request'],
  ['a name that is no token', [...GET, 'a b', '*'], 'bad_request'],
  ['an empty name', [...GET, '', '*'], 'bad_request'],
  ['NUL in a value', [...GET, 'a', 'x\0y'], 'bad_request'],
  ['CR in a value', [...GET, 'a', 'x\ry'], 'bad_request'],
  ['LF in a value', [...GET, 'a', 'x\ny'], 'bad_request'],
  ['a blank before a value', [...GET, 'a', ' x'], 'bad_request'],
  ['a blank behind a value', [...GET, 'a', 'x\t'], 'bad_request'],
  ['connection', [...GET, 'connection', 'close'], 'bad_request'],
  ['proxy-connection', [...GET, 'proxy-connection', 'close'], 'bad_request'],
  ['keep-alive', [...GET, 'keep-alive', 'x'], 'bad_request'],
  ['upgrade', [...GET, 'upgrade', 'h2c'], 'bad_request'],
  ['http2-settings', [...GET, 'http2-settings', 'x'], 'bad_request'],
  ['transfer-encoding', [...GET, 'transfer-encoding', 'chunked'], 'bad_request'],
  ['transfer-encoding: identity', [...GET, 'transfer-encoding', 'identity'], 'bad_request'],
  ['te besides trailers', [...GET, 'te', 'gzip'], 'bad_request'],
  ['te: trailers', [...GET, 'te', 'trailers'], 'forward'],
  ['another host', [...GET, 'host', 'b.example'], 'bad_request'],
  ['the same host', [...GET, 'host', 'A.example'], 'forward'],
  ['two hosts', [...GET, 'host', 'a.example', 'host', 'a.example'], 'bad_request'],
  ['host alone', [...without(GET, ':authority'), 'host', 'a.example'], 'forward'],
  ['no authority', without(GET, ':authority'), 'bad_request'],
  ['userinfo in the authority', instead(GET, ':authority', 'u@a.example'), 'bad_request'],
  ['a path in the authority', instead(GET, ':authority', 'a.example/x'), 'bad_request'],
  ['a query in the authority', instead(GET, ':authority', 'a.example?x'), 'bad_request'],
  ['no path', without(GET, ':path'), 'bad_request'],
  ['an empty path', instead(GET, ':path', ''), 'bad_request'],
  ['a path without a slash', instead(GET, ':path', 'x'), 'bad_request'],
  ['a blank in the path', instead(GET, ':path', '/ HTTP/1.1'), 'bad_request'],
  ['CRLF in the path', instead(GET, ':path', '/\r\nX: y'), 'bad_request'],
  ['a fragment in the path', instead(GET, ':path', '/x#y'), 'bad_request'],
  ['* with GET', instead(GET, ':path', '*'), 'bad_request'],
  ['a blank in the method', instead(GET, ':method', 'GET /x'), 'bad_request'],
  ['an empty method', instead(GET, ':method', ''), 'bad_request'],
  ['no method', without(GET, ':method'), 'bad_request'],
  ['a long method', instead(GET, ':method', 'M'.repeat(33)), 'not_implemented'],
  ['scheme https', instead(GET, ':scheme', 'https'), 'not_implemented'],
  ['no scheme', without(GET, ':scheme'), 'bad_request'],
  ['a scheme that is none', instead(GET, ':scheme', 'ht tp'), 'bad_request'],
  ['a pseudo-header twice', [':method', 'GET', ...GET], 'bad_request'],
  ['an unknown pseudo-header', [':status', '200', ...GET], 'bad_request'],
  ['a pseudo-header behind a field', ['a', 'b', ...GET], 'bad_request'],
  ['two lengths', [...GET, 'content-length', '1', 'content-length', '2'], 'bad_request'],
  ['a length that is no number', [...GET, 'content-length', '+1'], 'bad_request'],
  ['an expectation', [...GET, 'expect', 'magic'], 'expectation_failed'],
  ['too many fields', [...GET, ...Array.from({ length: 12 }, () => 'a')], 'head_too_large'],
  ['CONNECT', CONNECT, 'tunnel'],
  ['CONNECT with a scheme', [...CONNECT, ':scheme', 'https'], 'bad_request'],
  ['CONNECT with a path', [...CONNECT, ':path', '/'], 'bad_request'],
  ['CONNECT with a body', [...CONNECT, 'content-length', '1'], 'bad_request'],
  ['CONNECT without a port', instead(CONNECT, ':authority', 'a.example'), 'bad_request'],
  ['an extended CONNECT', WEB_SOCKET, 'forward'],
  ['an extended CONNECT for another protocol', instead(WEB_SOCKET, ':protocol', 'connect-udp'), 'not_implemented'],
  ['an extended CONNECT with https', instead(WEB_SOCKET, ':scheme', 'https'), 'not_implemented'],
  ['an extended CONNECT without a path', without(WEB_SOCKET, ':path'), 'bad_request'],
  [':protocol without CONNECT', [...GET, ':protocol', 'websocket'], 'bad_request'],
];
for (const [why, raw, expected] of REFUSED)
  test(`a request in HTTP/2 with ${why}: ${expected}`, () => assert.equal(code(raw), expected));
