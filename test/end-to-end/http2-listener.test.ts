import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { Authority } from '../support/authority.ts';
import {
  connectFields,
  END_HEADERS,
  END_STREAM,
  ERROR,
  type Fields,
  FRAME,
  fieldBlock,
  frame,
  getFields,
  RawHttp2,
  uint32,
} from '../support/http2-frames.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, echo, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { rawClient } from '../support/raw-client.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { Web } from '../support/web.ts';

const ALICE = { clients: { users: { alice: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' } } };
const LOGIN = { 'proxy-authorization': `Basic ${Buffer.from('alice:secret').toString('base64')}` };
const h2c = { listen: [{ url: 'http://127.0.0.1:0', h2c: true }] };

/** An https: listener, and the authority that its certificate comes from. */
function secureListener(folder: string) {
  const ca = new Authority(folder, 'ca');
  const tls = ca.issue('server', { subject: '/CN=localhost', names: 'DNS:localhost,IP:127.0.0.1' });
  return { ca, config: { listen: [{ url: 'https://127.0.0.1:0', tls }] } };
}

async function session(url: string, ca?: string): Promise<ClientHttp2Session & AsyncDisposable> {
  const opened = connect(url, ca === undefined ? {} : { ca: readFileSync(ca) });
  await once(opened, 'connect');
  return Object.assign(opened, {
    [Symbol.asyncDispose]: async () => {
      opened.destroy();
      if (!opened.closed) await once(opened, 'close');
    },
  });
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

async function ask(client: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: string): Promise<Answer> {
  const stream = client.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const [head]: [IncomingHttpHeaders & { ':status'?: number }] = (await once(stream, 'response')) as never;
  return { status: head[':status'], headers: head, body: await text(stream) };
}

const connectTo = (authority: string) => ({ ':method': 'CONNECT', ':authority': authority });
const get = (authority: string, path = '/') => ({ ':scheme': 'http', ':authority': authority, ':path': path });

test(
  'a program opens a hundred tunnels over one TLS connection, and each is recorded with its bytes',
  { skip: missing('openssl') },
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const { ca, config } = secureListener(folder.path);
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await ProxyUnderTest.start(config);
    await using client = await session(`https://localhost:${proxy.port}`, ca.cert);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, at) => ask(client, connectTo(origin.authority), `tunnel ${at}`)),
    );
    assert.deepEqual(
      answers.map(({ status, body }) => `${status} ${body}`),
      answers.map((_, at) => `200 tunnel ${at}`),
    );
    assert.deepEqual(Object.keys(answers[0]?.headers ?? {}), [':status']);
    assert.equal(
      new Set(proxy.events.flatMap((one) => (one.type === 'request' ? [one.request.client.port] : []))).size,
      1,
    );
    await proxy.record(99);
    for (const { protocol, kind, status, end, bytesUp, bytesDown, failure } of proxy.records) {
      assert.deepEqual(
        { protocol, kind, status, end, isSame: bytesUp === bytesDown, failure },
        { protocol: 'h2', kind: 'tunnel', status: 200, end: 'client', isSame: true, failure: undefined },
      );
    }
  }),
);

test('407 and 403 cost a stream, and the connection serves the next one', async () => {
  await using origin = await RawOrigin.listen(echo);
  await using proxy = await ProxyUnderTest.start({
    ...h2c,
    ...ALICE,
    access: [{ name: 'secret hosts', deny: { hosts: ['secret.example'] } }, { default: 'allow' }],
  });
  await using client = await session(`http://127.0.0.1:${proxy.port}`);
  const without = await ask(client, connectTo(origin.authority), 'early data');
  assert.equal(without.status, 407);
  assert.match(String(without.headers['proxy-authenticate']), /^Basic realm=/);
  assert.match(String(without.headers['proxy-status']), /^viaduct; error=http_request_denied$/);
  const denied = await ask(client, { ...connectTo('secret.example:443'), ...LOGIN });
  assert.deepEqual([denied.status, denied.body.includes('secret hosts')], [403, true]);
  const allowed = await ask(client, { ...connectTo(origin.authority), ...LOGIN }, 'words');
  assert.deepEqual([allowed.status, allowed.body], [200, 'words']);
  assert.deepEqual(
    proxy.records.map(({ failure, principal }) => [failure, principal]),
    [
      ['client_auth_required', undefined],
      ['denied', 'alice'],
      [undefined, 'alice'],
    ],
  );
});

test('a plain request leaves as HTTP/1.1, with Via and without what HTTP/2 added', async () => {
  await using origin = await RawOrigin.listen(
    answering(() => ok('pong', 'Connection: keep-alive', 'X-Two: a', 'X-Two: b')),
  );
  await using proxy = await ProxyUnderTest.start(h2c);
  await using client = await session(`http://127.0.0.1:${proxy.port}`);
  const { status, headers, body } = await ask(
    client,
    { ...get(origin.authority, '/ping?x'), ':method': 'POST', cookie: ['a=1', 'b=2'], te: 'trailers', 'x-own': 'y' },
    'ping',
  );
  assert.deepEqual([status, body, headers['x-two'], headers.connection], [200, 'pong', 'a, b', undefined]);
  const pseudonym = /viaduct-\w+/.exec(String(headers.via))?.[0];
  assert.equal(headers.via, `1.1 ${pseudonym}`);
  assert.equal(
    origin.text,
    `POST /ping?x HTTP/1.1\r\nHost: ${origin.authority}\r\ncookie: a=1; b=2\r\nx-own: y\r\nVia: 2.0 ${pseudonym}\r\n` +
      'Transfer-Encoding: chunked\r\n\r\n4\r\nping\r\n0\r\n\r\n',
  );
});

test('https URLs are refused with the way to reach them, and the proxy serves its own pages', async () => {
  await using proxy = await ProxyUnderTest.start(h2c);
  await using client = await session(`http://127.0.0.1:${proxy.port}`);
  const inside = await ask(client, { ...get('a.example'), ':scheme': 'https' });
  assert.deepEqual([inside.status, inside.body.includes('CONNECT')], [501, true]);
  const page = await ask(client, get(`127.0.0.1:${proxy.port}`));
  assert.deepEqual([page.status, page.body.includes('it is working')], [200, true]);
});

test('HEAD, 204, 304, trailers and an interim response pass as they are', async () => {
  await using origin = await RawOrigin.listen(
    answering(({ startLine }) => {
      if (startLine.startsWith('HEAD')) return 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n';
      if (startLine.includes('/204')) return 'HTTP/1.1 204 No Content\r\n\r\n';
      if (startLine.includes('/304')) return 'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n';
      if (startLine.includes('/103')) return `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${ok('late')}`;
      return 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n';
    }),
  );
  await using proxy = await ProxyUnderTest.start(h2c);
  await using client = await session(`http://127.0.0.1:${proxy.port}`);
  const head = await ask(client, { ...get(origin.authority), ':method': 'HEAD' });
  assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '5', '']);
  assert.equal((await ask(client, get(origin.authority, '/204'))).status, 204);
  assert.equal((await ask(client, get(origin.authority, '/304'))).headers['content-length'], '7');
  const stream = client.request(get(origin.authority));
  const trailers = once(stream, 'trailers');
  assert.equal(await text(stream), 'abc');
  assert.equal((await trailers)[0]['x-sum'], '7');
  const hinted = client.request(get(origin.authority, '/103'));
  const [interim] = await once(hinted, 'headers');
  assert.deepEqual([interim[':status'], interim.link], [103, '</x>']);
  assert.equal(await text(hinted), 'late');
});

test('fields that may stand only once, or never in HTTP/2, end no process, wherever an origin sends them twice', async () => {
  const twice = 'ETag: "a"\r\nETag: "b"\r\nHTTP2-Settings: x\r\n\r\n';
  await using origin = await RawOrigin.listen(
    answering(({ startLine }) => {
      if (startLine.includes('/head')) return `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${twice}`;
      if (startLine.includes('/hints')) return `HTTP/1.1 103 Early Hints\r\n${twice}${ok('late')}`;
      return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n${twice}`;
    }),
  );
  await using proxy = await ProxyUnderTest.start(h2c);
  await using client = await session(`http://127.0.0.1:${proxy.port}`);
  const first = { etag: '"a"', settings: undefined };
  const seen = (fields: IncomingHttpHeaders) => ({ etag: fields.etag, settings: fields['http2-settings'] });
  assert.deepEqual(seen((await ask(client, get(origin.authority, '/head'))).headers), first);
  const hinted = client.request(get(origin.authority, '/hints'));
  assert.deepEqual(seen((await once(hinted, 'headers'))[0]), first);
  assert.equal(await text(hinted), 'late');
  const stream = client.request(get(origin.authority));
  const trailers = once(stream, 'trailers');
  assert.equal(await text(stream), 'abc');
  assert.deepEqual(seen((await trailers)[0]), first);
});

test('a status code that HTTP/2 cannot have is 502, and recorded as a fault of the origin', async () => {
  await using origin = await RawOrigin.listen(answering(() => 'HTTP/1.1 999 Denied\r\nContent-Length: 2\r\n\r\nno'));
  await using proxy = await ProxyUnderTest.start(h2c);
  await using client = await session(`http://127.0.0.1:${proxy.port}`);
  assert.equal((await ask(client, get(origin.authority))).status, 502);
  assert.equal((await proxy.record()).failure, 'origin_protocol');
});

test('a response that breaks off is reset, so that no client takes the part for the whole', async () => {
  await using origin = await RawOrigin.listen((peer) => {
    peer.socket.once('data', () => {
      peer.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
      setImmediate(() => peer.end());
    });
  });
  await using proxy = await ProxyUnderTest.start(h2c);
  using client = await RawHttp2.open(proxy.port);
  client.send(frame(FRAME.headers, END_HEADERS | END_STREAM, 1, fieldBlock(getFields(origin.authority))));
  await client.when(() => client.ending(1).reset !== undefined, 'RST_STREAM');
  assert.deepEqual([client.ending(1).ended, client.data(1).toString()], [false, 'half']);
  assert.equal(client.goaway, undefined);
});

test('an end that comes at once, in a frame of its own, ends an empty body and the sending side of a tunnel', async () => {
  await using origin = await RawOrigin.listen((peer) => {
    peer.socket.once('data', () => peer.send(ok('here')));
    peer.socket.once('end', () => peer.send('the end has come'));
  });
  await using proxy = await ProxyUnderTest.start(h2c);
  using client = await RawHttp2.open(proxy.port);
  const post = [[':method', 'POST'], ...getFields(origin.authority).slice(1)] as const;
  const open = (stream: number, fields: readonly (readonly [string, string])[]) =>
    client.send(
      Buffer.concat([
        frame(FRAME.headers, END_HEADERS, stream, fieldBlock(fields)),
        frame(FRAME.data, END_STREAM, stream),
      ]),
    );
  open(1, post);
  await client.when(() => client.ending(1).ended, 'response');
  assert.equal(client.data(1).toString(), 'here');
  open(3, connectFields(origin.authority));
  await client.when(() => client.data(3).length > 0, 'data');
  assert.equal(client.data(3).toString(), 'the end has come');
});

test('a body that differs from its content-length costs its stream, and no origin takes it for a whole request', async () => {
  await using origin = await RawOrigin.listen();
  await using proxy = await ProxyUnderTest.start(h2c);
  using client = await RawHttp2.open(proxy.port);
  const fields: Fields = [[':method', 'POST'], ...getFields(origin.authority).slice(1), ['content-length', '3']];
  const head = (stream: number) => frame(FRAME.headers, END_HEADERS, stream, fieldBlock(fields));
  const data = (stream: number, text: string) => frame(FRAME.data, END_STREAM, stream, Buffer.from(text));
  const isReset = (stream: number) =>
    client.when(() => client.ending(stream).reset === ERROR.protocol, `RST_STREAM on ${stream}`);
  for (const [stream, sent] of [
    [1, 'ab'],
    [3, 'abcd'],
  ] as const) {
    client.send(head(stream));
    await proxy.when(({ events }) => events.filter(({ type }) => type === 'request').length > (stream - 1) / 2);
    client.send(data(stream, sent));
    await isReset(stream);
  }
  // In one packet with its head, and none at all.
  client.send(head(5), data(5, 'abcd'));
  client.send(frame(FRAME.headers, END_HEADERS | END_STREAM, 7, fieldBlock(fields)));
  await Promise.all([isReset(5), isReset(7)]);
  client.send(frame(FRAME.headers, END_HEADERS | END_STREAM, 9, fieldBlock(getFields(`127.0.0.1:${proxy.port}`))));
  await client.when(() => client.ending(9).ended, 'a response to the next request');
  assert.equal(client.goaway, undefined);
  assert.doesNotMatch(origin.text, /abc/);
  await proxy.record(1);
  const mismatch = ['bad_request', 'the body differs from its content-length'];
  assert.deepEqual(
    proxy.records.slice(0, 2).map(({ failure, detail }) => [failure, detail]),
    [mismatch, mismatch],
  );
});

test('a body that is too long costs its stream also where nothing has read it yet', async () => {
  await using proxy = await ProxyUnderTest.start(h2c, { lookup: () => new Promise(() => undefined) });
  using client = await RawHttp2.open(proxy.port);
  const fields: Fields = [[':method', 'POST'], ...getFields('never.example').slice(1), ['content-length', '3']];
  client.send(frame(FRAME.headers, END_HEADERS, 1, fieldBlock(fields)), frame(FRAME.data, 0, 1, Buffer.from('abc')));
  await proxy.when(({ events }) => events.some(({ type }) => type === 'routed'));
  client.send(frame(FRAME.data, END_STREAM, 1, Buffer.from('d')));
  await client.when(() => client.ending(1).reset === ERROR.protocol, 'RST_STREAM');
  client.send(frame(FRAME.headers, END_HEADERS | END_STREAM, 3, fieldBlock(getFields(`127.0.0.1:${proxy.port}`))));
  await client.when(() => client.ending(3).ended, 'a response to the next request');
  assert.equal(client.goaway, undefined);
  assert.equal((await proxy.record()).failure, 'bad_request');
});

test('an error of the whole connection ends it with PROTOCOL_ERROR, also behind an error of a stream', async () => {
  await using origin = await RawOrigin.listen();
  await using proxy = await ProxyUnderTest.start(h2c);
  using client = await RawHttp2.open(proxy.port);
  const fields: Fields = [[':method', 'POST'], ...getFields(origin.authority).slice(1), ['content-length', '3']];
  client.send(
    frame(FRAME.headers, END_HEADERS, 1, fieldBlock(fields)),
    frame(FRAME.data, END_STREAM, 1, Buffer.from('abcd')),
  );
  await client.when(() => client.ending(1).reset !== undefined, 'RST_STREAM');
  client.send(frame(FRAME.windowUpdate, 0, 0, uint32(0)));
  await client.when(() => client.isClosed, 'the end of the connection');
  assert.equal(client.goaway, ERROR.protocol);
});

test('node:http2 resets or drops what no field of HTTP/2 may be, and the rest of a connection goes on', async () => {
  await using origin = await RawOrigin.listen(answering(() => ok('here')));
  await using proxy = await ProxyUnderTest.start(h2c);
  using client = await RawHttp2.open(proxy.port);
  let stream = -1;
  const get = (fields: Fields) => {
    stream += 2;
    client.send(
      frame(FRAME.headers, END_HEADERS | END_STREAM, stream, fieldBlock([...getFields(origin.authority), ...fields])),
    );
    return stream;
  };
  for (const field of [
    ['X-Upper', 'a'],
    ['transfer-encoding', 'chunked'],
    ['connection', 'close'],
    ['te', 'gzip'],
    ['content-length', '0x3'],
    [':path', '/twice'],
  ] as const) {
    const one = get([field]);
    await client.when(() => client.ending(one).reset === ERROR.protocol, `RST_STREAM for ${field[0]}`);
  }
  const dropped = get([
    ['x-crlf', 'a\r\nx-more: b'],
    ['x-nul', 'a\0'],
    ['x-control', 'a\x01'],
    ['x-blank', ' a '],
    ['x space', 'a'],
    ['x-kept', 'a'],
  ]);
  await client.when(() => client.ending(dropped).ended, 'a response');
  assert.equal(client.data(dropped).toString(), 'here');
  assert.deepEqual(origin.text.match(/^x.*$/gim), ['x-kept: a']);
  assert.equal(client.goaway, undefined);
});

test('a 205 has no body in HTTP/2, even where its origin sends one, and the next request is served', async () => {
  await using origin = await RawOrigin.listen(
    answering(({ startLine }) => {
      if (startLine.includes('/sized')) return 'HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello';
      if (startLine.includes('/chunks'))
        return 'HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';
      if (startLine.includes('/empty')) return 'HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n';
      return ok('next');
    }),
  );
  await using proxy = await ProxyUnderTest.start(h2c);
  await using client = await session(`http://127.0.0.1:${proxy.port}`);
  for (const path of ['/sized', '/chunks', '/empty']) {
    const { status, headers, body } = await ask(client, get(origin.authority, path));
    assert.deepEqual([status, headers['content-length'] ?? '0', body], [205, '0', ''], path);
    assert.equal((await ask(client, get(origin.authority))).body, 'next');
  }
  await proxy.record(5);
  assert.deepEqual(
    proxy.records.map(({ status, failure, bytesDown }) => [status, failure, bytesDown]),
    ['/sized', '/chunks', '/empty'].flatMap(() => [
      [205, undefined, 0],
      [200, undefined, 4],
    ]),
  );
});

test('a WebSocket opens by an extended CONNECT, and an origin that does not switch is refused', async () => {
  await using web = await Web.open();
  await using plain = await RawOrigin.listen(answering(() => ok('no WebSocket here')));
  await using proxy = await ProxyUnderTest.start(h2c);
  await using client = await session(`http://127.0.0.1:${proxy.port}`);
  if (client.remoteSettings.enableConnectProtocol !== true) await once(client, 'remoteSettings');
  const webSocket = (authority: string) => ({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'http',
    ':authority': authority,
    ':path': '/chat',
    'sec-websocket-version': '13',
  });
  const stream = client.request(webSocket(`127.0.0.1:${web.port}`));
  const [head] = await once(stream, 'response');
  assert.deepEqual([head[':status'], head['sec-websocket-accept'], head.upgrade], [200, undefined, undefined]);
  // A masked text frame (RFC 6455 §5.2) with the mask 0.
  stream.write(Buffer.concat([Buffer.from([0x81, 0x85, 0, 0, 0, 0]), Buffer.from('hello')]));
  const [frame] = await once(stream, 'data');
  assert.equal(String(frame).slice(-5), 'hello');
  stream.close();
  const refused = await ask(client, webSocket(plain.authority));
  assert.equal(refused.status, 502);
  assert.match(refused.body, /origin_upgrade/);
});

test('HTTP/1 is served on the same port without TLS, wherever its first bytes are cut', async () => {
  await using proxy = await ProxyUnderTest.start(h2c);
  for (const method of ['GET', 'PUT', 'PRI', 'POST', 'P']) {
    for (const at of [0, 1, 2, 3, 4, 5]) {
      using client = await rawClient(proxy.port);
      const bytes = Buffer.from(`${method} / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
      await client.sendCut(bytes, at);
      assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 (?:200|405) /, `${method} cut at ${at}`);
    }
  }
});

test('a proxy that stops tells its clients, and lets their tunnels go on until they end', async () => {
  await using origin = await RawOrigin.listen();
  await using proxy = await ProxyUnderTest.start(h2c);
  using client = await RawHttp2.open(proxy.port);
  await client.tunnel(1, origin.authority);
  const peer = await origin.connection();
  const closed = proxy.proxy.close({ drainMs: 5_000 });
  await client.when(() => client.goaway !== undefined, 'GOAWAY');
  client.send(frame(FRAME.data, END_STREAM, 1, Buffer.from('last words')));
  await peer.until('last words');
  peer.end();
  await client.when(() => client.ending(1).ended, 'END_STREAM');
  assert.deepEqual([client.goaway, (await closed).aborted], [0, 0]);
});

test(
  'nghttp and h2load fetch pages of an origin, many at once',
  { skip: missing('nghttp2-client', 'openssl') },
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('hello')));
    await using proxy = await ProxyUnderTest.start(h2c);
    const at = `http://127.0.0.1:${proxy.port}`;
    // Their proxy is the server that they connect to, and the URL's authority goes into the requests.
    const { out } = await run('nghttp', ['-v', '-H', `:authority: ${origin.authority}`, `${at}/`]);
    assert.match(out, /:status: 200[\s\S]*hello/);
    const load = await run('h2load', [
      '-n',
      '400',
      '-c',
      '4',
      '-m',
      '20',
      '-H',
      `:authority: ${origin.authority}`,
      `${at}/`,
    ]);
    assert.match(load.out, /400 succeeded, 0 failed, 0 errored/);
  }),
);

test('Chromium shows a page that it reaches by tunnels over HTTP/2 to an https: proxy', {
  skip: missing('chromium', 'openssl'),
}, async () => {
  using folder = temporaryFolder();
  const { config } = secureListener(folder.path);
  await using web = await Web.open();
  await using proxy = await ProxyUnderTest.start(config);
  const { out } = await run('chromium', [
    ...['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-sync', '--disable-quic'],
    ...['--disable-background-networking', '--disable-component-update', '--virtual-time-budget=5000'],
    ...['--ignore-certificate-errors', `--user-data-dir=${join(folder.path, 'chromium')}`],
    ...[`--proxy-server=https://localhost:${proxy.port}`, '--proxy-bypass-list=<-loopback>'],
    ...['--dump-dom', `https://localhost:${web.tlsPort}/from-chromium`],
  ]);
  assert.match(out, /hello from \/from-chromium/);
  const record = proxy.records.find(({ target }) => target?.port === web.tlsPort);
  assert.deepEqual([record?.protocol, record?.kind, record?.status], ['h2', 'tunnel', 200]);
});
