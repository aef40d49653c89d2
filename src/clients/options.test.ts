import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressKey, completeListen, isExposed, listenSchema, parseListen } from './options.ts';

const FORMS: readonly (readonly [text: string, host: string, port: number | undefined])[] = [
  ['localhost', 'localhost', undefined],
  ['LOCALHOST:80', 'localhost', 80],
  ['127.0.0.1:0', '127.0.0.1', 0],
  ['[::1]:3128', '::1', 3128],
  ['[::]', '::', undefined],
  ['::1', '::1', undefined],
  ['fe80::1%eth0', 'fe80::1%eth0', undefined],
  ['http://127.0.0.1:8080/', '127.0.0.1', 8080],
  ['HTTP://127.0.0.1:8080', '127.0.0.1', 8080],
  ['http://proxy.example', 'proxy.example', undefined],
];
for (const [text, host, port] of FORMS) {
  test(`listens on ${text}`, () => assert.deepEqual(parseListen(text), { kind: 'tcp', protocol: 'http', host, port }));
}

test('listens on a Unix socket', () =>
  assert.deepEqual(parseListen('unix:/run/v'), { kind: 'unix', protocol: 'http', path: '/run/v' }));

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
  'socks4://h',
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
    { kind: 'tcp', protocol: 'http', host: '127.0.0.1', port: 3128, optional: true },
    { kind: 'tcp', protocol: 'http', host: '::1', port: 3128, optional: true },
  ]);
});

test('only loopback addresses and Unix sockets are out of reach of others', () => {
  const exposed = (text: string) => completeListen(parseListen(text), 1).some(isExposed);
  assert.deepEqual(['localhost', '127.3.3.3', '::1', '::ffff:127.0.0.1', 'unix:/x'].filter(exposed), []);
  const open = ['0.0.0.0', '::', '10.0.0.1', '::ffff:10.0.0.1', 'fe80::1%eth0', 'proxy.example'];
  assert.deepEqual(open.filter(exposed), open);
});

test('a listener may be written with settings, and is the same address with other ones', () => {
  const [plain, unix] = [{ url: 'http://10.0.0.1:3128' }, { url: 'unix:/run/v.sock', protocol: 'http' }].map((one) =>
    completeListen(listenSchema.parse(one), 1),
  );
  const [alone] = completeListen(listenSchema.parse('10.0.0.1:3128'), 1);
  assert.deepEqual(plain, [{ ...alone, settings: {} }]);
  assert.deepEqual(unix, [{ kind: 'unix', protocol: 'http', path: '/run/v.sock', settings: { protocol: 'http' } }]);
  assert.ok(alone !== undefined && plain?.[0] !== undefined);
  assert.equal(addressKey(alone), addressKey(plain[0]));
  assert.deepEqual(
    listenSchema.safeParse({ url: 'localhost', colour: 'red' }).error?.issues.map(({ code }) => code),
    ['unrecognized_keys'],
  );
});

test('docker, podman and wsl are bridges, with a port or the usual one', () => {
  const complete = (text: string) => completeListen(parseListen(text), 3128);
  assert.deepEqual(complete('docker'), [{ kind: 'bridge', protocol: 'http', bridge: 'docker', port: 3128 }]);
  assert.deepEqual(complete('http://Podman:80'), [{ kind: 'bridge', protocol: 'http', bridge: 'podman', port: 80 }]);
  assert.equal(complete('wsl').some(isExposed), false);
});
