/** Hooks that answer requests themselves, and refusals of a program's own. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { duplexPair, Readable } from 'node:stream';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import * as undici from 'undici';
import {
  connectVia,
  ProxyError,
  type ProxyOptions,
  type ProxyRecord,
  type RequestContext,
  startProxy,
} from '../../src/index.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';

/** What a client reads, and the record, of each request. */
async function ask(options: ProxyOptions, ...requests: readonly string[]) {
  const texts: string[] = [];
  const records: ProxyRecord[] = [];
  await using proxy = await startProxy(options);
  proxy.on('close', ({ record }) => records.push(record));
  for (const request of requests) {
    using client = await rawClient(proxy.port);
    client.send(request);
    await client.ended();
    texts.push(client.text.replaceAll(/viaduct-[0-9a-f]{12}/g, 'viaduct-ID').replaceAll(/Date: .*/g, 'Date: NOW'));
  }
  return { texts, records };
}
const get = (more = '', method = 'GET'): string =>
  `${method} http://a.test/page HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n${more}\r\n`;

test(
  'respond answers with text, bytes, a stream or a Response, and undefined goes on',
  leavesNothing(async () => {
    const bodies = {
      '/text': () => ({ status: 451, headers: { 'X-A': ['1', '2'], 'Content-Length': 99 }, body: 'blöcked' }),
      '/bytes': async () => ({ status: 200, reason: 'Fine', body: Buffer.from('bytes') }),
      '/stream': () => ({ status: 200, body: Readable.from(['one ', 'two']) }),
      '/web': () => new Response('of the web', { status: 202, headers: { 'Content-Type': 'text/x' } }),
      '/none': () => ({ status: 204 }),
    };
    const { texts, records } = await ask(
      {
        respond: ({ url = '' }) => bodies[new URL(url).pathname as keyof typeof bodies]?.(),
        route: () => {
          throw ProxyError.custom({ status: 502, body: 'went on' });
        },
      },
      ...['text', 'bytes', 'stream', 'web', 'none', 'other'].map(
        (path) => `GET http://a.test/${path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`,
      ),
      'HEAD http://a.test/text HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n',
    );
    const via = 'Via: 1.1 viaduct-ID\r\nDate: NOW\r\n';
    assert.deepEqual(texts.slice(0, 5), [
      `HTTP/1.1 451 Unavailable For Legal Reasons\r\nX-A: 1\r\nX-A: 2\r\n${via}Content-Length: 8\r\nConnection: close\r\n\r\nblÃ¶cked`,
      `HTTP/1.1 200 Fine\r\n${via}Content-Length: 5\r\nConnection: close\r\n\r\nbytes`,
      `HTTP/1.1 200 OK\r\n${via}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n`,
      `HTTP/1.1 202 Accepted\r\ncontent-type: text/x\r\n${via}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\na\r\nof the web\r\n0\r\n\r\n`,
      `HTTP/1.1 204 No Content\r\n${via}Connection: close\r\n\r\n`,
    ]);
    assert.match(texts[5] ?? '', /^HTTP\/1\.1 502 [\s\S]*\r\n\r\nwent on$/);
    assert.equal(
      texts[6],
      `HTTP/1.1 451 Unavailable For Legal Reasons\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 8\r\n${via}Connection: close\r\n\r\n`,
    );
    assert.deepEqual(
      records.map(({ status, bytesDown, failure }) => [status, bytesDown, failure]),
      [
        [451, 8, undefined],
        [200, 5, undefined],
        [200, 7, undefined],
        [202, 10, undefined],
        [204, 0, undefined],
        [502, 0, 'custom'],
        [451, 0, undefined],
      ],
    );
  }),
);

test(
  'a connection serves on behind a response of the program, and not behind one whose request body was not read',
  leavesNothing(async () => {
    await using proxy = await startProxy({ respond: () => ({ status: 200, body: 'mock' }) });
    using client = await rawClient(proxy.port);
    const head = (method: string, more: string) => `${method} http://a.test/ HTTP/1.1\r\nHost: a.test\r\n${more}\r\n`;
    client.send(head('GET', ''));
    await client.until('mock');
    client.send(head('POST', 'Content-Length: 1000000\r\n'));
    assert.equal(await client.ended(), 'fin');
    assert.equal(client.text.match(/mock/g)?.length, 2);
  }),
);

test(
  'a body of respond that fails cuts the response, so that no client takes it for whole',
  leavesNothing(async () => {
    const failing = (first: string | undefined) =>
      Readable.from(
        (async function* () {
          if (first !== undefined) yield first;
          // The beginning is on its way before the failure comes.
          await new Promise((resolve) => setImmediate(resolve));
          throw new Error('the disk is gone');
        })(),
      );
    const bodies = [failing(undefined), failing('begin')];
    const { texts, records } = await ask(
      { respond: () => ({ status: 200, body: bodies.shift() ?? '' }) },
      get(),
      get(),
    );
    assert.match(texts[0] ?? '', /\r\nTransfer-Encoding: chunked\r\n.*\r\n\r\n$/);
    assert.match(texts[1] ?? '', /\r\n\r\n5\r\nbegin\r\n$/);
    assert.deepEqual(
      records.map(({ failure, detail }) => [failure, detail]),
      Array(2).fill(['hook_failed', 'respond hook: its body failed: the disk is gone']),
    );
  }),
);

test(
  'the stream of respond is destroyed when its client leaves',
  leavesNothing(async () => {
    const body = new Readable({ read() {} });
    body.push('begin');
    await using proxy = await startProxy({ respond: () => ({ status: 200, body }) });
    using client = await rawClient(proxy.port);
    client.send(get());
    await client.until('begin');
    const closed = once(body, 'close');
    client.reset();
    await closed;
  }),
);

test(
  'an answer of respond that no message can carry is hook_failed',
  leavesNothing(async () => {
    const wrong = [
      { status: 99 },
      { status: 600 },
      { status: 200, reason: 'a\r\nb' },
      { status: 200, headers: { 'a b': '1' } },
    ];
    const answers = [...wrong, { status: 200, headers: { a: '1\r\nX: 2' } }];
    const count = answers.length;
    const { records } = await ask({ respond: () => answers.shift() }, ...Array.from({ length: count }, () => get()));
    assert.deepEqual(
      records.map(({ failure }) => failure),
      Array(count).fill('hook_failed'),
    );
    assert.match(records[0]?.detail ?? '', /^respond hook: status: 99 is not a whole number from 200 to 599/);
  }),
);

test(
  'tunnel leads to a stream of the program or to its http.Server, and rules hold before it is asked',
  leavesNothing(async () => {
    const [ours, theirs] = duplexPair();
    theirs.on('data', (chunk) => theirs.end(`you said ${chunk}`));
    const server = createServer((request, response) =>
      response.end(`${request.socket.remoteAddress} wants ${request.headers.host}${request.url}`),
    );
    const records: ProxyRecord[] = [];
    await using proxy = await startProxy({
      authorize: (ctx) => (ctx.target.host === 'no.test' ? ctx.deny() : ctx.allow()),
      tunnel: async ({ target }) => ({ 'stream.test': ours, 'server.test': server, 'no.test': server })[target.host],
      route: () => {
        throw new ProxyError('no_route', 'went on');
      },
    });
    proxy.on('close', ({ record }) => records.push(record));
    const talk = async (host: string, text: string) => {
      using client = await rawClient(proxy.port);
      client.send(connectTo(`${host}:80`) + text);
      await client.ended();
      return client.text
        .replace(/^HTTP\/1\.1 200 Connection established\r\n\r\n/, 'open ')
        .split('\r\n')
        .at(-1);
    };
    assert.equal(await talk('stream.test', 'hello'), 'open you said hello');
    const answer = await talk('server.test', 'GET /x HTTP/1.1\r\nHost: server.test\r\nConnection: close\r\n\r\n');
    assert.match(answer ?? '', /127\.0\.0\.1 wants server\.test\/x$/);
    await talk('no.test', '');
    await talk('other.test', '');
    assert.deepEqual(
      records.map(({ status, failure, bytesUp }) => [status, failure, bytesUp]),
      [
        [200, undefined, 5],
        [200, undefined, 57],
        [403, 'denied', 0],
        [502, 'no_route', 0],
      ],
    );
  }),
);

test(
  'both ends of a tunnel to a server are closed when the client resets it',
  leavesNothing(async () => {
    const server = createServer();
    const accepted = once(server, 'connection');
    await using proxy = await startProxy({ tunnel: () => server });
    using client = await rawClient(proxy.port);
    client.send(connectTo('a.test:80'));
    const [connection] = await accepted;
    const closed = once(connection, 'close');
    client.reset();
    await closed;
  }),
);

for (const hook of ['authenticate', 'authorize', 'route', 'limit', 'respond', 'tunnel'] as const) {
  test(
    `ProxyError.custom in ${hook} sends exactly that status, reason, fields and body`,
    leavesNothing(async () => {
      const refusal = () => {
        throw ProxyError.custom({
          status: 593,
          reason: 'Out of Credit',
          fields: { 'X-Balance': '0', 'Content-Type': 'application/json' },
          body: '{"credit":0}',
          detail: 'ann has paid nothing',
        });
      };
      const request = hook === 'respond' ? get() : connectTo('a.test:443');
      const { texts, records } = await ask({ [hook]: refusal }, request);
      assert.equal(
        texts[0]?.replace(/Date: NOW\r\n/, ''),
        'HTTP/1.1 593 Out of Credit\r\nX-Balance: 0\r\nContent-Type: application/json\r\n' +
          'Proxy-Status: viaduct; error=http_request_denied\r\nVia: 1.1 viaduct-ID\r\n' +
          'Content-Length: 12\r\nConnection: close\r\n\r\n{"credit":0}',
      );
      assert.deepEqual(
        records.map(({ status, failure, detail }) => [status, failure, detail]),
        [[593, 'custom', 'ann has paid nothing']],
      );
    }),
  );
}

test(
  'a response of fetch passes on as it is read, without the coding that fetch has taken from it',
  leavesNothing(async () => {
    const plain = 'of the origin '.repeat(100);
    await using origin = createServer((request, response) => {
      const isZipped = request.url === '/gzip';
      response.setHeader('Content-Encoding', isZipped ? 'gzip' : 'rot13');
      response.setHeader('Connection', 'close');
      response.end(isZipped ? gzipSync(plain) : 'as it came');
    });
    origin.listen(0, '127.0.0.1');
    await once(origin, 'listening');
    const address = origin.address();
    assert.ok(typeof address === 'object' && address !== null);
    const ways = [fetch, fetch, undici.fetch];
    const { texts } = await ask(
      { respond: ({ url = '' }) => ways.shift()?.(url) },
      ...['gzip', 'other', 'gzip'].map((path) =>
        get().replace('http://a.test/page', `http://127.0.0.1:${address.port}/${path}`),
      ),
    );
    const [zipped = '', other = '', ofUndici] = texts;
    assert.ok(zipped.includes(plain), zipped);
    assert.doesNotMatch(zipped, /content-encoding/i);
    assert.match(other, /content-encoding: rot13\r\n[\s\S]*as it came/);
    assert.equal(ofUndici, zipped);
  }),
);

test(
  'what respond returns and is no response is named',
  leavesNothing(async () => {
    for (const [answer, why] of [
      ['"blocked"', 'returned a string; write { status, headers, body }'],
      ['{ "status": "200" }', "status: '200' is not a whole number from 200 to 599"],
      ['{ "status": 200, "body": { "a": 1 } }', 'body: write text, bytes or a stream'],
      ['{ "status": 200, "body": 42 }', 'body: write text, bytes or a stream'],
      [
        '{ "status": 200, "headers": null }',
        "the fields: write an object of text, numbers and lists of text, as { 'X-A': '1' }",
      ],
      [
        '{ "status": 200, "headers": { "a": {} } }',
        "the value of the field a is none; write an object of text, numbers and lists of text, as { 'X-A': '1' }",
      ],
    ] as const) {
      const { records } = await ask({ respond: () => JSON.parse(answer) }, get());
      assert.deepEqual(
        records.map(({ failure, detail }) => [failure, detail]),
        [['hook_failed', `respond hook: ${why}`]],
      );
    }
  }),
);

test('ProxyError.custom names what is wrong', () => {
  for (const [refusal, message] of [
    [{ status: 200 }, /status: 200 is not a whole number from 300 to 599/],
    [{ status: 403, reason: 'nö' }, /reason: /],
    [{ status: 403, fields: { 'a:b': '1' } }, /a field name is not a token/],
    [{ status: 403, fields: [['X-A', 'a\nb']] }, /the value of the field X-A/],
  ] as const) {
    assert.throws(() => ProxyError.custom(refusal), { name: 'TypeError', message });
  }
});

test(
  'a login may be demanded for some requests only, with realm and message; state and signal go from hook to hook',
  leavesNothing(async () => {
    const seen: unknown[] = [];
    const events: unknown[] = [];
    await using proxy = await startProxy({
      authenticate: (ctx) => {
        ctx.state.calls = ['authenticate'];
        seen.push(ctx.signal.aborted);
        if (ctx.target.host === 'open.test') return ctx.anonymous();
        if (ctx.credentials === undefined) return ctx.requireLogin({ realm: 'lab', message: 'Ask Ann.' });
        return ctx.password === 'pä:ss%' ? { id: ctx.username } : null;
      },
      authorize: (ctx) => {
        (ctx.state.calls as string[]).push('authorize');
        return ctx.allow();
      },
      limit: (ctx) => void (ctx.state.calls as string[]).push('limit'),
      respond: (ctx) => {
        (ctx.state.calls as string[]).push('respond');
        return { status: 200, body: `user ${ctx.user?.id}` };
      },
    });
    proxy.on('response', ({ state }) => events.push(state));
    const over: ProxyRecord[] = [];
    proxy.on('close', ({ record }) => over.push(record));
    const tell = async (host: string, login?: string) => {
      using client = await rawClient(proxy.port);
      const field =
        login === undefined ? '' : `Proxy-Authorization: Basic ${Buffer.from(login).toString('base64')}\r\n`;
      client.send(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${field}\r\n`);
      await client.ended();
      return client.text;
    };
    assert.match(await tell('open.test'), /user undefined$/);
    const demand = await tell('a.test');
    assert.match(demand, /^HTTP\/1\.1 407 .*\r\n[\s\S]*Proxy-Authenticate: Basic realm="lab", charset="UTF-8"\r\n/);
    assert.match(demand, /\r\n\r\nAsk Ann\.\n/);
    assert.match(await tell('a.test', 'ann:wrong'), /^HTTP\/1\.1 407 .*\r\n[\s\S]*realm="viaduct"/);
    assert.match(await tell('a.test', 'ann:pä:ss%'), /user ann$/);
    const all = ['authenticate', 'authorize', 'limit', 'respond'];
    const expected = [all, ['authenticate'], ['authenticate'], all].map((calls) => ({ calls }));
    assert.deepEqual(events, expected);
    assert.deepEqual(
      over.map(({ state }) => state),
      expected,
    );
    assert.deepEqual(seen, [false, false, false, false]);
  }),
);

test(
  "access: 'all' opens every port of an exposed listener to users, asks authorize, and leaves the guard",
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    const asked: string[] = [];
    const options: ProxyOptions = {
      listen: 'http://0.0.0.0:0',
      access: 'all',
      authenticate: () => ({ id: 'ann' }),
      authorize: (ctx) => {
        asked.push(ctx.target.host);
        return ctx.allow();
      },
    };
    const guarded = await ask(options, connectTo(origin.authority));
    assert.deepEqual(
      guarded.records.map(({ failure }) => failure),
      ['address_prohibited'],
    );
    await using proxy = await startProxy({ ...options, guard: { deny: [] } });
    using client = await rawClient(proxy.port);
    client.send(`${connectTo(origin.authority)}hello`);
    await client.until('hello');
    assert.deepEqual(asked, ['127.0.0.1', '127.0.0.1']);
  }),
);

for (const hook of ['authenticate', 'authorize', 'limit', 'respond', 'tunnel', 'route'] as const) {
  test(
    `a client that leaves aborts the signal of ${hook}`,
    leavesNothing(async () => {
      const asked = Promise.withResolvers<AbortSignal>();
      const waits = (ctx: RequestContext): Promise<never> => {
        asked.resolve(ctx.signal);
        return new Promise(() => undefined);
      };
      await using proxy = await startProxy({ [hook]: waits });
      using client = await rawClient(proxy.port);
      client.send(hook === 'respond' ? 'GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n' : connectTo('a.test:443'));
      const signal = await asked.promise;
      const aborted = once(signal, 'abort');
      client.reset();
      await aborted;
      assert.match(String(signal.reason), /client_gone/);
    }),
  );
}

test(
  'a tunnel of the program works with connectVia',
  leavesNothing(async () => {
    await using proxy = await startProxy({
      tunnel: () => {
        const [ours, theirs] = duplexPair();
        theirs.end('welcome');
        return ours;
      },
    });
    const closed = new Promise((resolve) => proxy.once('close', resolve));
    const socket = await connectVia(proxy.url, 'a.test:1');
    let text = '';
    socket.end();
    for await (const chunk of socket) text += chunk;
    assert.equal(text, 'welcome');
    await closed;
  }),
);
