import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { type ProxyEvent, type ProxyEvents, type ProxyRecord, startProxy, type ViaductProxy } from '../../src/index.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { rawClient } from '../support/raw-client.ts';
import { connectTo } from '../support/requests.ts';

/** Every event that a request has; a new one has to be added here to compile. */
const NAMES: Readonly<Record<keyof ProxyEvents, true>> = {
  request: true,
  decided: true,
  routed: true,
  'route-failed': true,
  dns: true,
  dialing: true,
  'attempt-failed': true,
  connected: true,
  secured: true,
  response: true,
  established: true,
  upstreamResponse: true,
  error: true,
  connection: true,
  connectionClosed: true,
  close: true,
  health: true,
  notice: true,
};

/** The events that a program receives, by the name that it listened to. */
function listening(proxy: ViaductProxy) {
  const heard: { readonly name: string; readonly event: ProxyEvent }[] = [];
  const closes: ((record: ProxyRecord) => void)[] = [];
  const names = Object.keys(NAMES) as (keyof ProxyEvents)[];
  for (const name of names) proxy.on(name, (event) => heard.push({ name, event }));
  proxy.on('close', ({ record }) => closes.shift()?.(record));
  return { heard, closed: () => new Promise<ProxyRecord>((resolve) => closes.push(resolve)) };
}

test(
  'an event has the name of its type, and the events of a request end with response and close',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('hello', 'X-From: origin', 'X-From: again')));
    await using proxy = await startProxy({ routes: { proxy: ['http://127.0.0.1:9', 'direct'] } });
    const { heard, closed } = listening(proxy);
    using client = await rawClient(proxy.port);
    const first = closed();
    client.send(`GET http://${origin.authority}/p?q HTTP/1.1\r\nHost: ${origin.authority}\r\n\r\n`);
    await client.until('hello');
    const { id, status } = await first;
    assert.equal(status, 200);
    for (const { name, event } of heard) assert.equal(name, event.type);
    const names = heard.map(({ name }) => name);
    assert.deepEqual(names.slice(-2), ['response', 'close']);
    assert.ok(names.includes('route-failed'));
    const response = heard.at(-2)?.event;
    assert.ok(response?.type === 'response');
    assert.deepEqual([response.id, response.status], [id, 200]);
    assert.deepEqual(
      response.headers.filter(([name]) => name === 'X-From').map(([, value]) => value),
      ['origin', 'again'],
    );
  }),
);

test(
  'response reports what the client was sent, the proxy’s own responses too, once for each request; request has the raw target',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await startProxy({
      authorize: (ctx) => (ctx.target.port === origin.port ? ctx.allow() : ctx.deny()),
    });
    const { heard, closed } = listening(proxy);
    const ask = async (text: string) => {
      using client = await rawClient(proxy.port);
      const over = closed();
      client.send(text);
      await client.until('\r\n\r\n');
      client.end();
      client.socket.destroy();
      return (await over).status;
    };
    const statuses = [
      await ask(connectTo(origin.authority)),
      await ask('CONNECT A.Test:443 HTTP/1.1\r\nHost: A.Test:443\r\n\r\n'),
      await ask('GET HTTP://A.Test/x?Y#z HTTP/1.1\r\nHost: a.test\r\n\r\n'),
      await ask('GET HTTP://A.Test/x?Y HTTP/1.1\r\nHost: a.test\r\n\r\n'),
      await ask('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'),
      await ask('GET /nothing HTTP/1.1\r\nHost: a.test\r\n\r\n'),
      await ask('nonsense\r\n\r\n'),
    ];
    assert.deepEqual(statuses, [200, 403, 400, 403, 200, 404, 400]);
    const responses = heard.flatMap(({ event }) => (event.type === 'response' ? [event.status] : []));
    assert.deepEqual(responses, statuses);
    const targets = heard.flatMap(({ event }) => (event.type === 'request' ? [event.request.requestTarget] : []));
    assert.deepEqual(targets, [origin.authority, 'A.Test:443', 'HTTP://A.Test/x?Y']);
  }),
);

test(
  'a request that waits when the proxy stops is answered 503 at every stage, and its hooks are called',
  leavesNothing(async () => {
    const aborted: string[] = [];
    let waiting = 0;
    const pending = Promise.withResolvers<void>();
    await using silent = await RawOrigin.listen(() => {
      if (++waiting === 4) pending.resolve();
    });
    const proxy = await startProxy({
      authorize(ctx) {
        if (ctx.target.host !== 'hook.test') return ctx.allow();
        ctx.signal.addEventListener('abort', () => aborted.push(ctx.method));
        if (++waiting === 4) pending.resolve();
        return new Promise(() => undefined);
      },
    });
    const { heard } = listening(proxy);
    const at = silent.authority;
    const clients = await Promise.all(
      [
        `GET http://${at}/ HTTP/1.1\r\nHost: ${at}\r\n\r\n`,
        `POST http://${at}/ HTTP/1.1\r\nHost: ${at}\r\nContent-Length: 9\r\n\r\nhalf`,
        'GET http://hook.test/ HTTP/1.1\r\nHost: hook.test\r\n\r\n',
        'CONNECT hook.test:443 HTTP/1.1\r\nHost: hook.test:443\r\n\r\n',
      ].map(async (text) => (await rawClient(proxy.port)).send(text)),
    );
    await pending.promise;
    const report = await proxy.close();
    assert.deepEqual([report.finished, report.aborted], [0, 4]);
    for (const client of clients) {
      assert.equal(await client.ended(), 'fin');
      assert.match(
        client.text,
        /^HTTP\/1\.1 503 (?:Service Unavailable|shutdown: [^\r\n]+)\r\n[\s\S]*\r\nConnection: close\r\n/,
      );
      assert.match(client.text, /The proxy was stopped while the request was open\./);
      client.socket.destroy();
    }
    assert.deepEqual(aborted.sort(), ['CONNECT', 'GET']);
    const records = heard.flatMap(({ event }) => (event.type === 'close' ? [event.record] : []));
    assert.deepEqual(
      records.map(({ status, failure }) => [status, failure]),
      Array(4).fill([503, 'shutdown']),
    );
    assert.equal(proxy.open, 0);
  }),
);

test(
  'close does not wait for a client that reads nothing, nor for a hook that ignores its signal',
  leavesNothing(async () => {
    const asked = Promise.withResolvers<void>();
    const proxy = await startProxy({
      authorize() {
        asked.resolve();
        return new Promise(() => undefined);
      },
    });
    const client = await rawClient(proxy.port);
    client.socket.pause();
    client.send('GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n');
    await asked.promise;
    await proxy.close();
    client.socket.destroy();
  }),
);

test(
  'the record of a request that was answered nothing has status 0, and there is no response',
  leavesNothing(async () => {
    const asked = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let at = 0;
    await using proxy = await startProxy({
      authorize() {
        asked[at++]?.resolve();
        return new Promise(() => undefined);
      },
    });
    const { heard, closed } = listening(proxy);
    const statuses: unknown[] = [];
    for (const [n, head] of ['CONNECT a.test:443', 'GET http://a.test/'].entries()) {
      using client = await rawClient(proxy.port);
      const over = closed();
      client.send(`${head} HTTP/1.1\r\nHost: a.test${n === 0 ? ':443' : ''}\r\n\r\n`);
      await asked[n]?.promise;
      client.reset();
      const { status, failure } = await over;
      statuses.push([status, failure]);
    }
    assert.deepEqual(statuses, [
      [0, 'client_gone'],
      [0, 'client_gone'],
    ]);
    assert.ok(heard.every(({ name }) => name !== 'response'));
  }),
);

test(
  'a body that came while a hook was asked reaches the origin whole, however long it is and however it is cut',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(({ body }) => ok(`${body.length}`)));
    const decide = Promise.withResolvers<void>();
    await using proxy = await startProxy({
      async route() {
        await decide.promise;
        return 'direct';
      },
    });
    const bodies = ['x'.repeat(10), 'y'.repeat(70_000), 'z'.repeat(1_000_000)];
    const clients = await Promise.all(
      bodies.map(async (body) => {
        const client = await rawClient(proxy.port);
        client.send(
          `POST http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\nContent-Length: ${body.length}\r\n\r\n`,
        );
        client.send(body);
        return client.send(
          `GET http://${origin.authority}/ HTTP/1.1\r\nHost: ${origin.authority}\r\nConnection: close\r\n\r\n`,
        );
      }),
    );
    decide.resolve();
    for (const [at, client] of clients.entries()) {
      await client.ended();
      assert.deepEqual(client.text.match(/(?<=\r\n\r\n)\d+/g), [String(bodies[at]?.length), '0']);
      client.socket.destroy();
    }
    for (const body of bodies) assert.ok(origin.text.includes(body));
  }),
);

test(
  'bytesUp and bytesDown count bodies without their framing, and all that a tunnel carries',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen((peer) => {
      void peer.until('\r\n0\r\n').then(() => {
        peer.send(
          'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n',
        );
      });
    });
    await using echoing = await RawOrigin.listen(echo);
    await using proxy = await startProxy();
    const { closed } = listening(proxy);
    const counted: unknown[] = [];
    const at = origin.authority;
    for (const [head, body, last] of [
      [
        `POST http://${at}/ HTTP/1.1\r\nHost: ${at}\r\nTransfer-Encoding: chunked\r\n\r\n`,
        '3\r\nabc\r\n0\r\n\r\n',
        'X-Sum: 1\r\n\r\n',
      ],
      [connectTo(echoing.authority), 'twelve bytes', 'twelve bytes'],
      ['GET / HTTP/1.1\r\nHost: a.test\r\n\r\n', '', 'working'],
    ] as const) {
      using client = await rawClient(proxy.port);
      const over = closed();
      client.send(`${head}${body}`);
      await client.until(last);
      client.end();
      const { bytesUp, bytesDown } = await over;
      counted.push([bytesUp, bytesDown]);
    }
    assert.deepEqual(counted, [
      [3, 5],
      [12, 12],
      [0, 0],
    ]);
  }),
);

test('port and address() are those of the first listener', async () => {
  const proxy = await startProxy();
  assert.equal(proxy.url, `http://127.0.0.1:${proxy.port}`);
  assert.deepEqual(proxy.address(), { address: '127.0.0.1', family: 'IPv4', port: proxy.port });
  await proxy.close();
  assert.equal(proxy.address(), null);
  const folder = mkdtempSync(join(tmpdir(), 'viaduct-address-'));
  try {
    await using unix = await startProxy({ listen: `unix:${folder}/proxy.sock` });
    assert.deepEqual([unix.address(), unix.port], [`${folder}/proxy.sock`, 0]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const DOOR = new URL(`../../src/index${extname(import.meta.filename)}`, import.meta.url).href;

test('importing the library adds nothing to the enumerable globals', async () => {
  const program = `
    const before = new Set(Object.keys(globalThis));
    const { startProxy } = await import(${JSON.stringify(DOOR)});
    const proxy = await startProxy({ timeouts: { connect: '1s' } });
    await proxy.close();
    console.log(JSON.stringify(Object.keys(globalThis).filter((name) => !before.has(name))));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    timeout: 60_000,
  });
  assert.deepEqual(JSON.parse(stdout), []);
});

/** What a test runner like jest takes for open: it is notified of every handle, and asks each whether it is active. */
const HANDLES = `
  import { createHook } from 'node:async_hooks';
  Error.stackTraceLimit = 100;
  const IGNORED = new Set(['PROMISE', 'TIMERWRAP', 'ELDHISTOGRAM', 'PerformanceObserver', 'RANDOMBYTESREQUEST',
    'DNSCHANNEL', 'ZLIB', 'SIGNREQUEST', 'TLSWRAP', 'TCPWRAP', 'TickObject', 'Immediate']);
  const open = new Map();
  const hook = createHook({
    init(id, type, trigger, resource) {
      const { stack } = new Error();
      const isOurs = stack.includes(${JSON.stringify(dirname(DOOR))}) || open.has(trigger);
      if (IGNORED.has(type) || !isOurs) return;
      const held = new WeakRef(resource);
      const isActive = 'hasRef' in resource ? () => held.deref()?.hasRef() ?? false : () => true;
      open.set(id, { stack, type, isActive });
    },
    destroy: (id) => open.delete(id),
  });
  hook.enable();
`;

test('after close() a test runner that looks for open handles finds none', async () => {
  const program = `${HANDLES}
    const { agentsVia, connectVia, fetchVia, startProxy } = await import(${JSON.stringify(DOOR)});
    const pac = 'data:application/x-ns-proxy-autoconfig,function FindProxyForURL() { return "DIRECT"; }';
    for (const options of [{}, { relay: 'portable' }, { routes: { pac } }]) {
      // Node itself opens standard output for a thread.
      hook.disable();
      if (options.routes !== undefined) void process.stdout;
      hook.enable();
      const target = await startProxy();
      const proxy = await startProxy(options);
      const socket = await connectVia(proxy.url, '127.0.0.1:' + target.port);
      socket.end('GET / HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n');
      await new Promise((resolve) => socket.resume().once('close', resolve));
      const fetch = fetchVia(proxy.url);
      await (await fetch('http://127.0.0.1:' + target.port + '/')).text();
      await fetch[Symbol.asyncDispose]();
      const { httpAgent, httpsAgent } = agentsVia(proxy.url);
      httpAgent.destroy();
      httpsAgent.destroy();
      await proxy.close();
      await target.close();
    }
    const left = () => [...open.values()].filter(({ isActive }) => isActive()).map(({ type, stack }) => type + stack);
    // What closes itself takes a few turns, and a busy machine longer; what is left after that stays.
    const untilMs = performance.now() + 3_000;
    while (performance.now() < untilMs && left().length > 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      gc();
    }
    console.log(JSON.stringify(left()));`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--expose-gc', '--input-type=module', '-e', program],
    { timeout: 60_000 },
  );
  assert.deepEqual(JSON.parse(stdout), []);
});

for (const [what, head, body] of [
  ['of no bytes', 'X-A: 1', ''],
  ['of a declared length', 'Content-Length: 100000', 'half'],
  ['in chunks', 'Transfer-Encoding: chunked', '4\r\nhalf\r\n5\r\nwh'],
] as const) {
  test(
    `a client that ends in the middle of a body ${what} aborts the signal of the hook that is asked about it`,
    leavesNothing(async () => {
      const asked = Promise.withResolvers<AbortSignal>();
      await using proxy = await startProxy({
        route(ctx) {
          asked.resolve(ctx.signal);
          return new Promise(() => undefined);
        },
      });
      const { closed } = listening(proxy);
      const over = closed();
      using client = await rawClient(proxy.port);
      client.send(`POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n${head}\r\n\r\n`);
      const signal = await asked.promise;
      const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
      client.send(body);
      client.end();
      await aborted;
      assert.match(String(signal.reason), /client_gone|in the middle of a body/);
      await over;
    }),
  );
}

test('package.json names the types where every way of resolving modules looks for them', () => {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package-lock.json'))) folder = dirname(folder);
  const { exports: doors, main, types } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  assert.deepEqual({ types, default: main }, doors['.']);
});
