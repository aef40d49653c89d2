import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseStoreAddress, placeOfStore } from './store-address.ts';

const COMMON = { name: undefined, path: undefined, user: undefined, db: 0, isTls: false };

test('reads where a store is', () => {
  const cases: [string, object][] = [
    ['redis://127.0.0.1', { kind: 'single', servers: [{ host: '127.0.0.1', port: 6379 }] }],
    ['valkey://[::1]:7000/2', { kind: 'single', servers: [{ host: '::1', port: 7000 }], db: 2 }],
    [
      'rediss://me@redis.example:1',
      { kind: 'single', isTls: true, user: 'me', servers: [{ host: 'redis.example', port: 1 }] },
    ],
    [
      'redis+sentinel://limits@a:1,b',
      {
        kind: 'sentinel',
        name: 'limits',
        servers: [
          { host: 'a', port: 1 },
          { host: 'b', port: 26_379 },
        ],
      },
    ],
    [
      'rediss+cluster://me@a:1,b:2',
      {
        kind: 'cluster',
        isTls: true,
        user: 'me',
        servers: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
        ],
      },
    ],
    ['redis+unix:///run/redis.sock', { kind: 'socket', servers: [], path: '/run/redis.sock' }],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parseStoreAddress(text), { ...COMMON, ...expected }, text);
});

test('refuses what is no address of a store in one line, and repeats no password', () => {
  const cases: [string, RegExp][] = [
    ['localhost:6379', /^is no address of a store; write redis:\/\/HOST:PORT/],
    ['http://localhost', /^is no address of a store/],
    ['redis://me:pass-word-1@host', /^has a password in it; write .* limits\.storePassword/],
    ['redis://:pass-word-1@host', /^has a password in it/],
    ['redis://a,b', /^names several servers; write redis\+sentinel/],
    ['redis+sentinel://a:1', /^does not say which master; write redis\+sentinel:\/\/NAME@/],
    ['redis+cluster://a:1/3', /^names a database, and a cluster has one only/],
    ['redis://a:0', /^has a server that is no HOST:PORT/],
    ['redis://a:70000', /^has a server that is no HOST:PORT/],
    ['redis://', /^has a server that is no HOST:PORT/],
    ['redis://a/x', /^ends with something that is no number of a database/],
    ['redis+unix://', /^names no socket/],
    ['redis://%zz@a', /^has a % that encodes nothing/],
  ];
  for (const [text, message] of cases) {
    assert.throws(
      () => parseStoreAddress(text),
      (error) => error instanceof Error && message.test(error.message) && !/pass-word|\n/.test(error.message),
      text,
    );
  }
});

test('a message names the servers without the user', () => {
  assert.equal(placeOfStore(parseStoreAddress('redis+cluster://me@a:1,[::1]:2')), 'a:1,[::1]:2');
  assert.equal(placeOfStore(parseStoreAddress('redis+unix:///run/redis.sock')), '/run/redis.sock');
});
