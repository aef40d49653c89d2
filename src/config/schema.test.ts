import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Timeouts } from '../contracts/timeouts.ts';
import { type ConfigInput, configJsonSchema, resolveOptions } from './schema.ts';

test('a program that names nothing gets a free port on loopback, and no log', () => {
  const config = resolveOptions();
  assert.deepEqual(config.listen, [{ kind: 'tcp', protocol: 'http', host: '127.0.0.1', port: 0, optional: false }]);
  assert.deepEqual(config.log, { format: 'off', keep: 5, level: 'info', url: 'full' });
});

test('options mean what the file means', () => {
  const config = resolveOptions({
    listen: ['http://127.0.0.1:0', 'unix:/run/v.sock'],
    timeouts: { idle: '5m', drain: 1 },
    limits: { bandwidth: [{ per: 'proxy', rate: '2MiB' }] },
    quiet: undefined,
  });
  assert.deepEqual(config.listen[1], { kind: 'unix', protocol: 'http', path: '/run/v.sock' });
  assert.deepEqual([config.timeouts.idleMs, config.timeouts.drainMs], [300_000, 1000]);
  assert.equal(config.limits.bandwidth[0]?.rate, 2_097_152);
});

test('the type of options follows from the schema', () => {
  const listen: readonly string[] = ['localhost'];
  const input: ConfigInput = { listen, port: undefined, timeouts: { idle: 5 } };
  assert.equal(resolveOptions(input).timeouts.idleMs, 5_000);
  // @ts-expect-error of the command alone
  const workers: ConfigInput = { workers: 2 };
  assert.throws(() => resolveOptions(workers), /workers: is for the command alone/);
  // @ts-expect-error no setting
  const unknown: ConfigInput = { prot: 1 };
  assert.throws(() => resolveOptions(unknown), /prot/);
});

test('every timeout of the file is one of the program, by the same name and in milliseconds', () => {
  const written = Object.keys(configJsonSchema().properties?.timeouts?.properties ?? {});
  const timeouts: Timeouts = resolveOptions({
    timeouts: Object.fromEntries(written.map((name) => [name, 7])),
  }).timeouts;
  assert.deepEqual(timeouts, Object.fromEntries(written.map((name) => [`${name}Ms`, 7_000])));
  assert.ok(written.length > 8);
});

test('a wrong option is one error that names its path', () => {
  assert.throws(() => resolveOptions({ timeouts: { idle: 'soon' } }), {
    name: 'ConfigError',
    message: 'timeouts.idle: "soon" is not a duration; write for example 30s, 5m or 1h30m',
  });
  assert.throws(() => resolveOptions({ listen: 'localhost:99999' }), {
    message: 'listen: 99999 is not a valid port; write 0 to 65535',
  });
});

test('a hook that is no function is an error, and so is a name that is nearly that of a hook', () => {
  const hooks = { authenticate: undefined, route: undefined, limit: undefined };
  assert.throws(() => resolveOptions({}, { ...hooks, route: 'direct' }), {
    name: 'ConfigError',
    message: 'route: is "direct"; write a function',
  });
  assert.throws(() => resolveOptions({ ['authentcate' as 'name']: 'x' }, hooks), {
    message: 'authentcate: no such option; did you mean authenticate?',
  });
  assert.ok(resolveOptions({ limits: {}, routes: {} }, hooks));
});

test('a name that is near nothing gets the names of all options, hooks too', () => {
  assert.throws(
    () => resolveOptions({ ['onRequest' as 'name']: 'x' }, { authenticate: undefined, signal: undefined }),
    {
      message: /^onRequest: no such option; known here: authenticate, signal, listen, port, (?!.*workers)/,
    },
  );
});

test('a signal or a client of a store that is none is an error', () => {
  assert.throws(() => resolveOptions({}, { signal: 5, limitStore: {} }), {
    message: [
      'signal: is 5; write the signal of an AbortController',
      'limitStore: has settings under it; write a client of ioredis, iovalkey, redis or @redis/client',
    ].join('\n'),
  });
  const { signal } = new AbortController();
  assert.ok(resolveOptions({}, { signal, limitStore: { sendCommand: async () => null } }));
});

test('a port alone is that port of this machine', () => {
  assert.deepEqual(
    [{}, { port: 8000 }, { listen: 'localhost' }, { listen: '127.0.0.2', port: 8000 }].map((options) =>
      resolveOptions(options).listen.map((one) => one.kind === 'tcp' && `${one.host} ${one.port}`),
    ),
    [['127.0.0.1 0'], ['127.0.0.1 8000'], ['127.0.0.1 3128', '::1 3128'], ['127.0.0.2 8000']],
  );
});

test('for a value of no known form, the error names every form', () => {
  assert.throws(() => resolveOptions(JSON.parse('{ "listen": 8000 }')), {
    message: /^listen: is 8000; write a text, settings of the form `key: value` or a list: Where to listen/,
  });
});

test('a certificate that is written where its file belongs is not repeated', () => {
  const pem = '-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n';
  assert.throws(() => resolveOptions({ listen: { url: 'https://127.0.0.1:0', tls: { cert: pem, key: pem } } }), {
    message: 'listen: tls.cert: holds PEM itself; write the path of a file that has it',
  });
});

test('options may not open the proxy to everyone by accident either', () => {
  assert.throws(
    () => resolveOptions({ listen: '0.0.0.0:0' }),
    /^ConfigError: listen: everyone who reaches 0\.0\.0\.0.* an `authenticate` hook/,
  );
  assert.throws(
    () => resolveOptions({ listen: '0.0.0.0:0', access: 'all' }),
    /0\.0\.0\.0 could use this proxy, and `access` says only where to: add an `authenticate` hook/,
  );
  assert.equal(resolveOptions({ listen: '0.0.0.0:0', open: true }).open, true);
  assert.ok(
    resolveOptions({ listen: '0.0.0.0:0' }, { authenticate: () => null }),
    'a program that authenticates clients may',
  );
});
