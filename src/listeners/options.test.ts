import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeListen, isExposed, parseListen } from './options.ts';

const FORMS: readonly (readonly [text: string, host: string, port: number | undefined])[] = [
  ['localhost', 'localhost', undefined],
  ['LOCALHOST:80', 'localhost', 80],
  ['127.0.0.1:0', '127.0.0.1', 0],
  ['[::1]:3128', '::1', 3128],
  ['[::]', '::', undefined],
  ['::1', '::1', undefined],
  ['fe80::1%eth0', 'fe80::1%eth0', undefined],
  ['http://127.0.0.1:8080/', '127.0.0.1', 8080],
  ['http://proxy.example', 'proxy.example', undefined],
];
for (const [text, host, port] of FORMS) {
  test(`listens on ${text}`, () => assert.deepEqual(parseListen(text), { kind: 'tcp', host, port }));
}

test('listens on a Unix socket', () => assert.deepEqual(parseListen('unix:/run/v'), { kind: 'unix', path: '/run/v' }));

for (const text of [
  '',
  ':8080',
  '8080',
  '*:1',
  'a b',
  'http://u@h',
  'h/path',
  '[::1',
  '[::zz]:1',
  'h:99999',
  'unix:',
  'https://h',
]) {
  test(`refuses ${JSON.stringify(text)} in one line`, () => {
    assert.throws(
      () => parseListen(text),
      (error) => error instanceof Error && !error.message.includes('\n'),
    );
  });
}

test('localhost is both loopback addresses, each of which may be missing', () => {
  assert.deepEqual(completeListen(parseListen('localhost'), 3128), [
    { kind: 'tcp', host: '127.0.0.1', port: 3128, optional: true },
    { kind: 'tcp', host: '::1', port: 3128, optional: true },
  ]);
});

test('only loopback addresses and Unix sockets are out of reach of others', () => {
  const exposed = (text: string) => completeListen(parseListen(text), 1).some(isExposed);
  assert.deepEqual(['localhost', '127.3.3.3', '::1', '::ffff:127.0.0.1', 'unix:/x'].filter(exposed), []);
  const open = ['0.0.0.0', '::', '10.0.0.1', '::ffff:10.0.0.1', 'fe80::1%eth0', 'proxy.example'];
  assert.deepEqual(open.filter(exposed), open);
});
