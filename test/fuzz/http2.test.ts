/**
 * Mutated frames of HTTP/2 and mutated bytes of a TLS handshake. With all of them no failure is `internal`, nothing stays
 * open, and the next request is served.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { isLong } from '../support/bulk.ts';
import { selfSigned } from '../support/certificate.ts';
import {
  connectFields,
  END_HEADERS,
  END_STREAM,
  FRAME,
  fieldBlock,
  frame,
  getFields,
  RawHttp2,
  uint32,
} from '../support/http2-frames.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { answering, ok, RawOrigin } from '../support/origin.ts';
import { numbers } from '../support/pace.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';

const ROUNDS = isLong ? 5_000 : 300;
const SEED = Number(process.env.VIADUCT_FUZZ_SEED ?? 1);

/** A conversation of valid frames, some of whose bytes are then others. */
function mutated(authority: string, below: (max: number) => number): Buffer {
  const stream = 1 + 2 * below(4);
  const frames = [
    frame(FRAME.headers, END_HEADERS, stream, fieldBlock(connectFields(authority))),
    frame(FRAME.headers, END_HEADERS | END_STREAM, stream + 2, fieldBlock(getFields(authority))),
    frame(FRAME.data, below(2), stream, Buffer.alloc(below(200), 'x')),
    frame(FRAME.reset, 0, stream, uint32(below(14))),
    frame(FRAME.windowUpdate, 0, below(2) * stream, uint32(1 + below(1_000))),
    frame(FRAME.settings, 0, 0, Buffer.concat([Buffer.from([0, 1 + below(8)]), uint32(below(100_000))])),
    frame(FRAME.ping, 0, 0, Buffer.alloc(8)),
    frame(FRAME.priority, 0, stream, Buffer.alloc(5)),
    frame(FRAME.goaway, 0, 0, Buffer.alloc(8)),
    frame(FRAME.continuation, END_HEADERS, stream, fieldBlock([['a', 'b']])),
  ];
  const bytes = Buffer.concat(
    Array.from({ length: 1 + below(12) }, () => frames[below(frames.length)] ?? Buffer.alloc(0)),
  );
  for (let left = below(4); left > 0; left--) bytes[below(bytes.length)] = below(256);
  return bytes.subarray(0, below(5) === 0 ? below(bytes.length) : bytes.length);
}

test(
  `${ROUNDS} connections of mutated frames`,
  { timeout: 30 * 60_000 },
  leavesNothing(async () => {
    const below = numbers(SEED);
    await using origin = await RawOrigin.listen(answering(() => ok('alive')));
    await using proxy = await ProxyUnderTest.start({ listen: [{ url: 'http://127.0.0.1:0', h2c: true }] });
    for (let round = 0; round < ROUNDS; round++) {
      using client = await RawHttp2.open(proxy.port);
      client.send(mutated(origin.authority, below));
      if (below(2) === 0) client.socket.end();
      else client.send(mutated(origin.authority, below));
    }
    using client = await RawHttp2.open(proxy.port);
    client.send(frame(FRAME.headers, END_HEADERS | END_STREAM, 1, fieldBlock(getFields(origin.authority))));
    await client.when(() => client.ending(1).ended, 'response');
    assert.equal(client.data(1).toString(), 'alive');
    assert.deepEqual(
      proxy.records.filter(({ failure }) => failure === 'internal'),
      [],
    );
    client.socket.destroy();
    await until(() => proxy.proxy.open === 0, 'nothing is open');
  }),
);

test(
  `${ROUNDS} mutated handshakes`,
  { timeout: 30 * 60_000 },
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const below = numbers(SEED);
    const { cert, key } = selfSigned();
    const tls = { cert: folder.write('own.pem', cert), key: folder.write('own.key', key) };
    await using proxy = await ProxyUnderTest.start({ listen: [{ url: 'https://127.0.0.1:0', tls }] });
    await using recorder = await RawOrigin.listen();
    const recorded = connect({ port: recorder.port, host: '127.0.0.1', servername: 'localhost' });
    recorded.on('error', () => undefined);
    const peer = await recorder.connection();
    await until(() => peer.bytesReceived > 100, 'a ClientHello');
    const hello = Buffer.from(peer.received);
    recorded.destroy();
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = Buffer.from(hello);
      for (let left = below(4); left > 0; left--) bytes[below(bytes.length)] = below(256);
      const socket = connectTcp(proxy.port, '127.0.0.1').on('error', () => undefined);
      await once(socket, 'connect');
      socket.end(bytes.subarray(0, below(3) === 0 ? below(bytes.length) : bytes.length));
      socket.resume();
    }
    const whole = connect({ port: proxy.port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(whole, 'secureConnect');
    whole.destroy();
    assert.deepEqual(
      proxy.records.filter(({ failure }) => failure === 'internal'),
      [],
    );
  }),
);
