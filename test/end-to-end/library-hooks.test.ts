import assert from 'node:assert/strict';
import dns from 'node:dns';
import { once } from 'node:events';
import { test } from 'node:test';
import {
  connectVia,
  type LookupHook,
  ProxyError,
  type ProxyOptions,
  type ProxyRecord,
  startProxy,
} from '../../src/index.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';

const LOGIN = `Proxy-Authorization: Basic ${Buffer.from('ann:hunter2').toString('base64')}\r\n`;

/**
 * What becomes of one CONNECT and one GET to a name, with a login: the texts, the records, and what the program
 * receives.
 */
async function outcome(options: ProxyOptions) {
  await using proxy = await startProxy(options);
  const records: ProxyRecord[] = [];
  const notices: string[] = [];
  proxy.on('close', ({ record }) => records.push(record));
  proxy.on('notice', ({ level, message }) => notices.push(`${level} ${message}`));
  const texts: string[] = [];
  for (const head of [
    'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443',
    'GET http://a.test/ HTTP/1.1\r\nHost: a.test',
  ]) {
    using client = await rawClient(proxy.port);
    client.send(`${head}\r\n${LOGIN}Connection: close\r\n\r\n`);
    await client.ended();
    texts.push(client.text);
  }
  return { texts, records, notices };
}

const failing = (thrown: unknown): Record<string, ProxyOptions> => ({
  authenticate: { authenticate: () => Promise.reject(thrown) },
  authorize: {
    authorize() {
      throw thrown;
    },
  },
  route: { route: async () => Promise.reject(thrown) },
  limit: {
    limit() {
      throw thrown;
    },
  },
  lookup: {
    lookup() {
      throw thrown;
    },
  },
});

for (const [name, options] of Object.entries(failing(new TypeError('the directory has no table "users"')))) {
  test(
    `what the ${name} hook throws is 500 hook_failed: its message in the record, all of it in a notice, nothing for the client`,
    leavesNothing(async () => {
      const { texts, records, notices } = await outcome(options);
      for (const text of texts) {
        assert.match(text, /^HTTP\/1\.1 500 .*\r\n/);
        assert.match(text, /\(hook_failed\)/);
        assert.doesNotMatch(text, /table|TypeError/);
      }
      for (const { status, failure, detail } of records) {
        assert.deepEqual([status, failure], [500, 'hook_failed']);
        assert.equal(detail, `${name} hook: the directory has no table "users"`);
      }
      assert.equal(notices.length, 2);
      for (const notice of notices) {
        assert.match(notice, new RegExp(`^error request \\S+: ${name} hook: the directory has no table "users"\\n`));
        assert.match(notice, /TypeError: the directory has no table "users"\n {4}at .*library-hooks/);
      }
    }),
  );
}

for (const [name, options] of Object.entries(
  failing(
    new ProxyError('rate_limited', 'for the log', { clientDetail: 'Come back.', headers: [['Retry-After', '9']] }),
  ),
)) {
  test(
    `a ProxyError that the ${name} hook throws is the response`,
    leavesNothing(async () => {
      const { texts, records, notices } = await outcome(options);
      for (const text of texts)
        assert.match(text, /^HTTP\/1\.1 429 [\s\S]*\r\nRetry-After: 9\r\n[\s\S]* Come back\.\n/);
      assert.deepEqual(
        records.map(({ failure, detail }) => [failure, detail]),
        [
          ['rate_limited', 'for the log'],
          ['rate_limited', 'for the log'],
        ],
      );
      assert.deepEqual(notices, []);
    }),
  );
}

test(
  'a password that a hook puts into its error is in no record and no notice, and the place of the error is',
  leavesNothing(async () => {
    const { records, notices } = await outcome({
      authenticate: ({ password }) => {
        throw new RangeError(`bad password ${password}`, { cause: { password } });
      },
    });
    const all = JSON.stringify([records, notices]);
    assert.doesNotMatch(all, /hunter2/);
    assert.match(records[0]?.detail ?? '', /^authenticate hook: RangeError; its text is left out/);
    assert.match(notices[0] ?? '', /\n\s+at .*library-hooks/);
  }),
);

test(
  'a hook may throw anything at all',
  leavesNothing(async () => {
    for (const thrown of ['text', undefined, null, Object.create(null), { message: 'of another realm' }, 42]) {
      const { records } = await outcome(failing(thrown).authorize ?? {});
      for (const { failure, detail } of records) {
        assert.equal(failure, 'hook_failed');
        assert.match(detail ?? '', /^authorize hook: ./);
      }
    }
  }),
);

type Resolving = readonly [what: string, lookup: LookupHook];
const shapes: readonly Resolving[] = [
  ['a list of texts', async () => ['127.0.0.1']],
  ['a text', () => '127.0.0.1'],
  ['a promise of a text', async () => '127.0.0.1'],
  ['an object', async () => ({ address: '127.0.0.1', family: 4 })],
  ['a list of objects', () => [{ address: '127.0.0.1', family: 4 }]],
  ['a callback with one address', (_host, _options, done) => done(null, '127.0.0.1', 4)],
  [
    'a callback with a list',
    (_host, _options, done) => process.nextTick(done, null, [{ address: '127.0.0.1', family: 4 }]),
  ],
  ['an async function that calls back', async (_host, _options, done) => done(null, '127.0.0.1', 4)],
  ['dns.lookup', dns.lookup],
  ['dns.promises.lookup', dns.promises.lookup],
];
for (const [what, lookup] of shapes) {
  test(
    `lookup may answer with ${what}`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(answering(() => ok('found')));
      await using proxy = await startProxy({ lookup });
      using client = await rawClient(proxy.port);
      client.send(`GET http://localhost:${origin.port}/ HTTP/1.1\r\nHost: localhost:${origin.port}\r\n\r\n`);
      await client.until('found');
    }),
  );
}

test(
  'what else lookup returns is reported by its failure',
  leavesNothing(async () => {
    const coded = (code: string) => Object.assign(new Error('no'), { code });
    const untyped =
      (answer: unknown): LookupHook =>
      () =>
        JSON.parse(JSON.stringify({ answer })).answer;
    const cases: readonly (readonly [LookupHook, string, RegExp])[] = [
      [() => Promise.reject(coded('ENOTFOUND')), 'dns_failed', /ENOTFOUND/],
      [(_host, _options, done) => done(coded('ESERVFAIL'), ''), 'dns_failed', /ESERVFAIL/],
      [() => Promise.reject(coded('EAI_AGAIN')), 'dns_failed', /EAI_AGAIN/],
      [() => Promise.reject(coded('ERR_INVALID_ARG_TYPE')), 'hook_failed', /^lookup hook: no$/],
      [() => [], 'dns_failed', /no address/],
      [() => 'not an address', 'hook_failed', /"not an address", which is not a valid IP address/],
      [untyped({ address: 7 }), 'hook_failed', /a value of type number, which is not a valid IP address/],
      [untyped(undefined), 'hook_failed', /a value of type undefined/],
      [untyped(null), 'hook_failed', /a value of type object/],
    ];
    for (const [lookup, code, detail] of cases) {
      const { records } = await outcome({ lookup });
      for (const record of records) {
        assert.equal(record.failure, code);
        assert.match(record.detail ?? '', detail);
      }
    }
  }),
);

test(
  'a listener that throws is reported by a notice, and the others receive the event',
  leavesNothing(async () => {
    await using proxy = await startProxy({ authorize: (ctx) => ctx.deny() });
    const heard: string[] = [];
    proxy.on('close', () => {
      throw new Error('the listener is broken');
    });
    proxy.on('close', async () => Promise.reject(new Error('and this one later')));
    proxy.once('close', ({ record }) => heard.push(record.method));
    proxy.on('notice', ({ level, message }) => {
      heard.push(`${level} ${message.split('\n')[0]}`);
      throw new Error('so is that of notices');
    });
    const warned = once(process, 'warning');
    await connectVia(proxy.url, 'a.test:443').catch(() => undefined);
    const [warning] = await warned;
    assert.match(warning.message, /a listener for "notice" threw: Error: so is that of notices\n {4}at /);
    assert.equal(warning.name, 'ViaductWarning');
    assert.deepEqual(heard, [
      'error a listener for "close" threw: Error: the listener is broken',
      'CONNECT',
      'error a listener for "close" threw: Error: and this one later',
    ]);
  }),
);

test('a listener that throws while notices have no listener is a warning of the process', async () => {
  await using proxy = await startProxy({ authorize: (ctx) => ctx.deny() });
  proxy.on('close', () => {
    throw new Error('the listener is broken');
  });
  const warned = once(process, 'warning');
  await connectVia(proxy.url, 'a.test:443').catch(() => undefined);
  assert.match((await warned)[0].message, /^a listener for "close" threw: Error: the listener is broken\n {4}at /);
});

test(
  'what a Viaduct upstream sends in Proxy-Status reaches the program, the client and the record behind it',
  leavesNothing(async () => {
    const far = await startProxy({ lookup: () => [] });
    await assert.rejects(connectVia(far.url, 'a.test:443'), (error) => {
      assert.ok(error instanceof ProxyError);
      assert.equal(error.code, 'upstream_failed');
      assert.equal(error.clientMessage, 'The upstream proxy could not reach the destination. Its reason: dns_error.');
      assert.match(error.message, /\(dns_error\)$/);
      return true;
    });
    const middle = await startProxy({ route: () => far.url });
    const near = await startProxy({ route: () => middle.url });
    const record = new Promise<ProxyRecord>((resolve) => near.once('close', (event) => resolve(event.record)));
    using client = await rawClient(near.port);
    client.send('CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n');
    await client.ended();
    assert.deepEqual(client.text.match(/(?<=^Proxy-Status: ).*(?=\r$)/gm), [
      'upstream; error=dns_error, upstream; error=destination_unavailable',
      'viaduct; error=destination_unavailable',
    ]);
    assert.match(client.text, /could not reach the destination\. Its reason: dns_error\. It responded with 502\./);
    assert.match((await record).detail ?? '', /\(dns_error\)$/);
    for (const proxy of [near, middle, far]) await proxy.close();
  }),
);
