/** Bulk traffic: hundreds of megabytes, thousands of tunnels, and readers that stop. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer, request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { hashOf, hashOfPattern, isLong, MB, patternOf, residentBytes, sendPattern } from '../support/bulk.ts';
import { type Running, viaduct } from '../support/cli.ts';
import { tunnelBufferBytesMax } from '../support/kernel.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { echo, RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import { untilSteady } from '../support/steady.ts';

const notLinux = process.platform !== 'linux' && 'memory of another process is read from /proc';

test(
  '300 MB each way through one tunnel at the same time, byte by byte the same',
  leavesNothing(async () => {
    const bytes = 300 * MB;
    const atOrigin = Promise.withResolvers<{ hash: string }>();
    await using origin = await PlainServer.listen((socket) => {
      hashOf(socket).then(atOrigin.resolve, atOrigin.reject);
      sendPattern(socket, bytes).catch(atOrigin.reject);
    });
    await using proxy = await ProxyUnderTest.start();
    const client = await tunnelTo(proxy.port, origin.port);
    const [down] = await Promise.all([hashOf(client), sendPattern(client, bytes)]);
    assert.equal(down.hash, hashOfPattern(bytes));
    assert.equal((await atOrigin.promise).hash, hashOfPattern(bytes));
    const { bytesUp, bytesDown } = await proxy.record();
    assert.deepEqual([bytesUp, bytesDown], [bytes, bytes]);
  }),
);

const TUNNELS = isLong ? 10_000 : 1_000;
const AT_ONCE = 50;

test(
  `${TUNNELS} tunnels opened, used and closed leave nothing behind`,
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen(echo);
    await using proxy = await ProxyUnderTest.start();
    let begun = 0;
    const worker = async () => {
      while (begun < TUNNELS) {
        const word = `tunnel ${begun++}`;
        using client = await proxy.tunnel(origin.authority);
        client.send(word);
        await client.until(word);
        // Some end in order, some just go.
        if (begun % 3 === 0) continue;
        client.end();
        await client.ended();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    await proxy.when(({ records }) => records.length === TUNNELS);
    assert.equal(proxy.proxy.open, 0);
    assert.ok(proxy.records.every(({ status, failure }) => status === 200 && failure === undefined));
  }),
);

/** A proxy in a process of its own, so that its memory is its own. */
async function measured(): Promise<{ running: Running; port: number; pid: number }> {
  const running = viaduct(['-l', '127.0.0.1', '-p', '0', '--log', 'off']);
  const port = await running.port();
  const { pid } = running.child;
  if (pid === undefined) throw new Error('no process');
  return { running, port, pid };
}

/**
 * Memory that a proxy may gain while a reader has stopped: none of the 100 MB that wait. V8 collects young objects once
 * more when the load is over, and commits 1 MB for what lives on (seen with --trace-gc and in smaps, on Node 22).
 */
const GROWTH_BYTES_MAX = 2 * MB;
/** And until everything stands still, over what it had when it was warm: one read, and what V8 allocates. */
const STOPPING_BYTES_MAX = 4 * MB;
/** And while it is busy: garbage that has not been collected yet, and no payload. */
const BUSY_BYTES_MAX = 16 * MB;
/**
 * Between two looks at the memory of a proxy whose reader has stopped: that time in which nothing may grow is the test.
 */
const LOOK_MS = 100;

for (const [reader, who] of [
  ['client', 'a download'],
  ['origin', 'an upload'],
] as const) {
  test(`a ${reader} that stops reading ${who} stops it: the memory of the proxy does not grow`, {
    skip: notLinux,
    timeout: 120_000,
  }, async () => {
    const bytes = (isLong ? 1_000 : 100) * MB;
    const { running, port, pid } = await measured();
    using _running = running;
    const accepted = Promise.withResolvers<Socket>();
    await using origin = await PlainServer.listen((socket) => accepted.resolve(socket));
    await warmUp(port);
    const client = await tunnelTo(port, origin.port);
    const upstream = await accepted.promise;
    const [from, to] = reader === 'client' ? [upstream, client] : [client, upstream];
    to.pause();
    const before = residentBytes(pid);
    const sending = sendPattern(from, bytes);
    const takenNow = () => from.bytesWritten - from.writableLength;
    await untilSteady(takenNow, 300, 'what the kernels and the proxy take is taken');
    const standing = residentBytes(pid);
    assert.ok(
      standing - before < STOPPING_BYTES_MAX,
      `${standing - before} bytes of memory were gained while it stopped`,
    );
    let most = 0;
    for (let moment = 0; moment < (isLong ? 100 : 15); moment++) {
      await wait(LOOK_MS);
      most = Math.max(most, residentBytes(pid) - standing);
    }
    const taken = takenNow();
    // The kernel's buffers, and what may wait in the proxy: more than that would have been dropped.
    assert.ok(taken < tunnelBufferBytesMax() + STOPPING_BYTES_MAX, `${taken} bytes were taken from the sender`);
    assert.ok(most < GROWTH_BYTES_MAX, `${most} bytes of memory were gained`);
    // And when the reader comes back, nothing is missing.
    const arriving = hashOf(to);
    to.resume();
    const [got] = await Promise.all([arriving, sending]);
    assert.equal(got.hash, hashOfPattern(bytes));
    client.destroy();
    upstream.destroy();
  });
}

const PLAIN_BYTES = isLong ? 1_000 * MB : 100 * MB;

for (const coding of ['Content-Length', 'chunked'] as const) {
  test(`${PLAIN_BYTES / MB} MB up and as much down over plain HTTP (${coding}) in constant memory`, {
    skip: notLinux,
    timeout: 300_000,
  }, async () => {
    const { running, port, pid } = await measured();
    using _running = running;
    await warmUp(port);
    const before = residentBytes(pid);
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, residentBytes(pid) - before);
    }, 50);
    try {
      assert.deepEqual(await postThrough(port, PLAIN_BYTES, coding), {
        up: hashOfPattern(PLAIN_BYTES),
        down: hashOfPattern(PLAIN_BYTES),
      });
    } finally {
      clearInterval(watch);
    }
    assert.ok(most < BUSY_BYTES_MAX, `${most} bytes of memory were gained`);
  });
}

/** V8 compiles and grows its heap while the proxy works for the first time; that is not what is measured. */
async function warmUp(port: number): Promise<void> {
  for (let round = 0; round < 2; round++) {
    await postThrough(port, 30 * MB, 'chunked');
    await postThrough(port, 30 * MB, 'Content-Length');
    const server = await PlainServer.listen((socket) => socket.pipe(socket));
    const client = await tunnelTo(port, server.port);
    await Promise.all([hashOf(client), sendPattern(client, 30 * MB)]);
    await server[Symbol.asyncDispose]();
  }
}

/** Node's client gives its upload up once it has the whole answer: the last piece waits for the end of the request. */
async function* lastAfter(pieces: AsyncIterable<Buffer>, moment: Promise<unknown>): AsyncGenerator<Buffer> {
  let held: Buffer | undefined;
  for await (const piece of pieces) {
    if (held !== undefined) yield held;
    held = piece;
  }
  await moment;
  if (held !== undefined) yield held;
}

/** Sends a body up while another comes down, with clients of Node on both ends; gives the hashes of what arrived. */
async function postThrough(port: number, bytes: number, coding: 'Content-Length' | 'chunked') {
  const atOrigin = Promise.withResolvers<{ hash: string }>();
  const framing = coding === 'chunked' ? {} : { 'Content-Length': bytes };
  const server = createHttpServer((asked, answer) => {
    hashOf(asked).then(atOrigin.resolve, atOrigin.reject);
    answer.writeHead(200, framing);
    Readable.from(lastAfter(patternOf(bytes), once(asked, 'end'))).pipe(answer);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const originPort = address !== null && typeof address === 'object' ? address.port : 0;
  const path = `http://127.0.0.1:${originPort}/`;
  const asking = request({
    port,
    host: '127.0.0.1',
    path,
    method: 'POST',
    headers: { Connection: 'close', ...framing },
  });
  patternOf(bytes).pipe(asking);
  const [answer] = await once(asking, 'response');
  const down = await hashOf(answer);
  const up = await atOrigin.promise;
  server.close();
  server.closeAllConnections();
  return { up: up.hash, down: down.hash };
}

const ESTABLISHED = 'HTTP/1.1 200 Connection established\r\n\r\n';

/** A tunnel as a bare socket, for streams. */
async function tunnelTo(proxyPort: number, port: number): Promise<Socket> {
  const socket = connect({ port: proxyPort, host: '127.0.0.1', allowHalfOpen: true });
  socket.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n\r\n`);
  let head: Buffer | null = null;
  while (head === null) {
    await once(socket, 'readable');
    head = socket.read(ESTABLISHED.length);
  }
  assert.equal(head.toString(), ESTABLISHED);
  return socket;
}

/** A TCP server whose sockets are plain streams. */
class PlainServer implements AsyncDisposable {
  readonly port: number;
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets: Socket[] = [];

  private constructor(server: ReturnType<typeof createServer>, serve: (socket: Socket) => void) {
    const address = server.address();
    this.port = address !== null && typeof address === 'object' ? address.port : 0;
    this.#server = server;
    server.on('connection', (socket) => {
      this.#sockets.push(socket);
      socket.on('error', () => undefined);
      serve(socket);
    });
  }

  static async listen(serve: (socket: Socket) => void): Promise<PlainServer> {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new PlainServer(server, serve);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }
}
