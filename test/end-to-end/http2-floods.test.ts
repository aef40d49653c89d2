import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ACK,
  connectFields,
  END_HEADERS,
  END_STREAM,
  ERROR,
  FRAME,
  fieldBlock,
  frame,
  getFields,
  RawHttp2,
  uint32,
} from '../support/http2-frames.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';

const h2c = { listen: [{ url: 'http://127.0.0.1:0', h2c: true }] };

const many = (count: number, bytes: (at: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, at) => bytes(at)));
const headers = (stream: number, authority: string): Buffer =>
  frame(FRAME.headers, END_HEADERS, stream, fieldBlock(connectFields(authority)));

/** What a client sends that floods the proxy; `authority` accepts connections. */
const FLOODS: readonly (readonly [name: string, send: (client: RawHttp2, authority: string) => void])[] = [
  [
    'streams that it resets at once',
    (client, authority) => {
      for (let burst = 0; burst < 20; burst++) {
        client.send(
          many(250, (at) => {
            const stream = 2 * (burst * 250 + at) + 1;
            return Buffer.concat([headers(stream, authority), frame(FRAME.reset, 0, stream, uint32(ERROR.cancel))]);
          }),
        );
      }
    },
  ],
  ['PING frames', (client) => void client.send(many(20_000, () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))))],
  ['SETTINGS frames', (client) => void client.send(many(20_000, () => frame(FRAME.settings, 0, 0)))],
  [
    'CONTINUATION frames',
    (client, authority) => {
      client.send(frame(FRAME.headers, 0, 1, fieldBlock(connectFields(authority))));
      client.send(many(20_000, () => frame(FRAME.continuation, 0, 1, fieldBlock([['a', 'b']]))));
    },
  ],
  [
    'empty DATA frames',
    (client, authority) => {
      client.send(
        headers(1, authority),
        many(20_000, () => frame(FRAME.data, 0, 1)),
      );
    },
  ],
];

for (const [name, flood] of FLOODS) {
  test(
    `a client that floods the proxy with ${name} gets GOAWAY(ENHANCE_YOUR_CALM), and others are served`,
    leavesNothing(async () => {
      await using origin = await RawOrigin.listen(answering(() => ok('here')));
      await using proxy = await ProxyUnderTest.start(h2c);
      using bystander = await RawHttp2.open(proxy.port);
      await bystander.tunnel(1, origin.authority);
      using client = await RawHttp2.open(proxy.port);
      flood(client, origin.authority);
      await client.when(() => client.goaway !== undefined, 'GOAWAY');
      assert.equal(client.goaway, ERROR.calm);
      await client.when(() => client.isClosed, 'close');
      bystander.send(frame(FRAME.headers, END_HEADERS | END_STREAM, 3, fieldBlock(getFields(origin.authority))));
      await bystander.when(() => bystander.ending(3).ended, 'response');
      assert.equal(bystander.data(3).toString(), 'here');
      await proxy.when(({ records }) => records.some(({ failure }) => failure === 'excessive_load'));
    }),
  );
}

test(
  'nothing is dialled for streams that are reset in the packet that opens them',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen();
    await using proxy = await ProxyUnderTest.start(h2c);
    using client = await RawHttp2.open(proxy.port);
    client.send(
      many(100, (at) =>
        Buffer.concat([headers(2 * at + 1, origin.authority), frame(FRAME.reset, 0, 2 * at + 1, uint32(ERROR.cancel))]),
      ),
    );
    await client.tunnel(1001, origin.authority);
    assert.equal(origin.connections.length, 1);
    assert.deepEqual(
      proxy.events.filter(({ type }) => type === 'dialing' || type === 'request').map(({ type }) => type),
      ['request', 'dialing'],
    );
  }),
);

test(
  'PRIORITY frames without end take no memory: their client is served, or gets GOAWAY(ENHANCE_YOUR_CALM)',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('here')));
    await using proxy = await ProxyUnderTest.start(h2c);
    using client = await RawHttp2.open(proxy.port);
    const priority = (at: number) => frame(FRAME.priority, 0, 2 * at + 1, Buffer.from([0, 0, 0, 0, 15]));
    const before = process.memoryUsage.rss();
    client.send(
      many(40_000, priority),
      frame(FRAME.headers, END_HEADERS | END_STREAM, 1, fieldBlock(getFields(origin.authority))),
    );
    // Node does not report them. A nghttp2 that counts them ends the session; an older one skips them.
    await client.when(() => client.goaway !== undefined || client.ending(1).ended, 'GOAWAY or response');
    if (client.goaway === undefined) assert.equal(client.data(1).toString(), 'here');
    else assert.equal(client.goaway, ERROR.calm);
    const grownMb = (process.memoryUsage.rss() - before) / 2 ** 20;
    assert.ok(grownMb < 48, `${grownMb} MiB for 40,000 frames`);
    using bystander = await RawHttp2.open(proxy.port);
    bystander.send(frame(FRAME.headers, END_HEADERS | END_STREAM, 1, fieldBlock(getFields(origin.authority))));
    await bystander.when(() => bystander.ending(1).ended, 'response');
    assert.equal(bystander.data(1).toString(), 'here');
  }),
);

test(
  'WINDOW_UPDATE frames without end take no memory, and their client and others are served behind them',
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(answering(() => ok('here')));
    await using proxy = await ProxyUnderTest.start(h2c);
    using bystander = await RawHttp2.open(proxy.port);
    using client = await RawHttp2.open(proxy.port);
    const frames = many(10_000, () => frame(FRAME.windowUpdate, 0, 0, uint32(1)));
    const send = async (count: number) => {
      client.send(frames, frame(FRAME.ping, 0, 0, Buffer.alloc(8)));
      const pongs = () => client.frames.filter(({ type, flags }) => type === FRAME.ping && flags === ACK).length;
      await client.when(() => pongs() === count, 'PING acknowledgement');
    };
    await send(1);
    const before = process.memoryUsage.rss();
    for (let round = 2; round < 22; round++) await send(round);
    const grownMb = (process.memoryUsage.rss() - before) / 2 ** 20;
    assert.ok(grownMb < 48, `${grownMb} MiB for 200,000 frames`);
    for (const one of [bystander, client]) {
      one.send(frame(FRAME.headers, END_HEADERS | END_STREAM, 1, fieldBlock(getFields(origin.authority))));
      await one.when(() => one.ending(1).ended, 'response');
      assert.equal(one.data(1).toString(), 'here');
    }
  }),
);

test(
  'of responses to a client with windows of one byte no more than some buffers are read, and its streams end when it takes nothing',
  leavesNothing(async () => {
    const bytes = 8 * 2 ** 20;
    await using origin = await RawOrigin.listen((peer) => {
      peer.socket.once('data', () => {
        peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`);
        peer.socket.write(Buffer.alloc(bytes));
      });
    });
    await using proxy = await ProxyUnderTest.start({ ...h2c, timeouts: { idle: '2s' } });
    // SETTINGS_INITIAL_WINDOW_SIZE
    using client = await RawHttp2.open(proxy.port, Buffer.concat([Buffer.from([0, 4]), uint32(1)]));
    const streams = Array.from({ length: 16 }, (_, at) => 2 * at + 1);
    client.send(
      ...streams.map((stream) =>
        frame(FRAME.headers, END_HEADERS | END_STREAM, stream, fieldBlock(getFields(origin.authority))),
      ),
    );
    await client.when(() => streams.every((stream) => client.data(stream).length === 1), 'a byte of each');
    await client.when(() => streams.every((stream) => client.ending(stream).reset !== undefined), 'RST_STREAM');
    await proxy.when(({ records }) => records.length === streams.length);
    assert.deepEqual([...new Set(proxy.records.map(({ failure }) => failure))], ['client_too_slow']);
    for (const taken of proxy.records.map(({ bytesDown }) => bytesDown)) assert.ok(taken < 2 ** 20, `${taken} bytes`);
    assert.equal(client.goaway, undefined);
  }),
);

test(
  'a refusal that its client opens no window for is reset after requestBody, and its place is idle again',
  leavesNothing(async () => {
    await using proxy = await ProxyUnderTest.start({
      ...h2c,
      timeouts: { requestBody: '300ms' },
      clients: { users: { a: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' } },
    });
    using client = await RawHttp2.open(proxy.port, Buffer.concat([Buffer.from([0, 4]), uint32(0)]));
    client.send(frame(FRAME.headers, END_HEADERS | END_STREAM, 1, fieldBlock(getFields('a.example'))));
    await client.when(() => client.ending(1).reset !== undefined, 'RST_STREAM');
    assert.equal(client.ending(1).reset, ERROR.cancel);
    assert.equal(client.goaway, undefined);
    assert.equal((await proxy.record()).failure, 'client_auth_required');
  }),
);

test('a client that opens more streams at once than SETTINGS allow has broken the protocol', async () => {
  await using origin = await RawOrigin.listen();
  await using proxy = await ProxyUnderTest.start(h2c);
  using client = await RawHttp2.open(proxy.port);
  const streams = Array.from({ length: 128 }, (_, at) => 2 * at + 1);
  client.send(...streams.map((stream) => headers(stream, origin.authority)));
  await client.when(() => streams.every((stream) => client.of(stream).length > 0), 'answer on each stream');
  client.send(headers(257, origin.authority));
  await client.when(() => client.goaway !== undefined, 'GOAWAY');
  assert.equal(client.goaway, ERROR.protocol);
});

test('bytes that are no HTTP/2 end the connection, cut anywhere', async () => {
  await using origin = await RawOrigin.listen();
  await using proxy = await ProxyUnderTest.start(h2c);
  for (const garbage of [
    Buffer.alloc(500, 0x55),
    frame(FRAME.data, 0, 0),
    frame(99, 0xff, 1, Buffer.alloc(16_385)).subarray(0, 9),
  ]) {
    using client = await RawHttp2.open(proxy.port);
    client.send(garbage);
    await client.when(() => client.isClosed || client.goaway !== undefined, 'end');
  }
  using client = await RawHttp2.open(proxy.port);
  await client.tunnel(1, origin.authority);
});
