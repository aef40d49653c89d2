/** Urgent data (RFC 9293 §3.8.5), which Telnet and FTP send: it is a byte of the stream like any other. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { leavesNothing } from '../support/no-leaks.ts';
import { RawOrigin } from '../support/origin.ts';
import { ProxyUnderTest } from '../support/proxy-under-test.ts';
import type { RawPeer } from '../support/raw-client.ts';
import { missing } from '../support/requires.ts';
import { temporaryFolder } from '../support/temporary.ts';

const program = fileURLToPath(new URL('../support/programs/urgent.pl', import.meta.url));
const noPerl = missing('perl-base');
const noAddon = activeRelay('auto') !== 'native' && 'the addon is not built here; npm run build says why';

/** A program that sends urgent data; see urgent.pl. */
class Sender implements AsyncDisposable {
  readonly #child;
  readonly #lines: AsyncIterator<string>;

  constructor(role: 'connect' | 'tunnel' | 'listen' | 'answer', to: number | string, head: string, body: Marked) {
    const words = [role, String(to), head, String(body.bytes), body.marks.join(',')];
    this.#child = spawn('perl', [program, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  /** The next line that it prints. */
  async line(): Promise<string> {
    return (await this.#lines.next()).value ?? 'nothing';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null) {
      const exited = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await exited;
    }
  }
}

/** How much is sent, and which bytes of it are urgent. */
interface Marked {
  readonly bytes: number;
  readonly marks: readonly (number | 'stall')[];
}

/** A byte that never comes fails its test. */
const TEST_MS_MAX = 60_000;
const KIB = 1_024;
const MIB = 1_048_576;
/** What the native relay reads at once, splices at once and begins to splice behind; several; and before an end. */
const EVERYWHERE: readonly Marked[] = [
  { bytes: 1, marks: [0] },
  { bytes: 2, marks: [0, 1] },
  { bytes: 100, marks: [99] },
  ...[0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB - 1].map(
    (mark) => ({
      bytes: 3 * MIB,
      marks: [mark],
    }),
  ),
  { bytes: 3 * MIB, marks: [0, 1, 2, 70_000, 70_001, MIB, MIB + 100, 2 * MIB, 3 * MIB - 2, 3 * MIB - 1] },
  { bytes: 3 * MIB, marks: Array.from({ length: 60 }, (_, at) => at * 50_000) },
];

const PATTERN = Buffer.from(Array.from({ length: 251 }, (_, at) => at));
const hashOf = (bytes: Buffer): string => `${bytes.length} ${createHash('sha1').update(bytes).digest('hex')}`;
const textOf = (one: Marked): string => `${one.bytes} bytes, urgent at ${one.marks}`;

function assertWhole(received: Buffer, sent: Marked): void {
  assert.equal(hashOf(received), hashOf(Buffer.alloc(sent.bytes, PATTERN)), textOf(sent));
}

/** All that a peer was sent, once it has ended. */
async function wholeOf(peer: RawPeer, sent: Marked): Promise<Buffer> {
  assert.equal(await peer.ended(), 'fin', textOf(sent));
  return peer.received;
}

const connectTo = (authority: string): string => `CONNECT ${authority} HTTP/1.1\\r\\nHost: ${authority}\\r\\n\\r\\n`;
const postTo = (authority: string, bytes: number): string =>
  `POST http://${authority}/ HTTP/1.1\\r\\nHost: ${authority}\\r\\nContent-Length: ${bytes}\\r\\n\\r\\n`;
const answerOf = (bytes: number): string => `HTTP/1.1 200 OK\\r\\nContent-Length: ${bytes}\\r\\n\\r\\n`;
const behindHead = (message: Buffer): Buffer => message.subarray(message.indexOf('\r\n\r\n') + 4);

for (const relay of ['native', 'limited'] as const) {
  const start = () =>
    ProxyUnderTest.start({ relay: 'native', limits: relay === 'limited' ? { bandwidth: { rate: '10GiB' } } : {} });
  const promise = (what: string, body: () => Promise<void>) =>
    test(`${what} (${relay})`, { skip: noPerl || noAddon, timeout: TEST_MS_MAX }, leavesNothing(body));

  promise('an upload through a tunnel is whole wherever a byte of it is urgent', async () => {
    await using origin = await RawOrigin.listen();
    await using proxy = await start();
    for (const [at, body] of EVERYWHERE.entries()) {
      await using _client = new Sender('tunnel', proxy.port, connectTo(origin.authority), body);
      const peer = await origin.connection(at);
      assertWhole(await wholeOf(peer, body), body);
      peer.end();
      assert.equal((await proxy.record(at)).bytesUp, body.bytes);
    }
  });

  promise('a download through a tunnel is whole wherever a byte of it is urgent', async () => {
    await using proxy = await start();
    for (const [at, body] of EVERYWHERE.entries()) {
      await using origin = new Sender('listen', '-', '', body);
      using client = await proxy.tunnel(`127.0.0.1:${await origin.line()}`);
      assertWhole(await wholeOf(client, body), body);
      client.end();
      assert.equal((await proxy.record(at)).bytesDown, body.bytes);
    }
  });

  promise('urgent bytes that come before the 200 are part of the tunnel', async () => {
    for (const marks of [[0], [1], [5_000], [9_999], [-1], [-1, 0, 1]]) {
      const body = { bytes: 10_000, marks };
      await using origin = await RawOrigin.listen();
      const resolved = Promise.withResolvers<readonly string[]>();
      await using proxy = await ProxyUnderTest.start({ relay: 'native' }, { lookup: () => resolved.promise });
      await using _client = new Sender('connect', proxy.port, connectTo(`name.test:${origin.port}`), body);
      await proxy.when(({ events }) => events.some(({ type }) => type === 'request'));
      resolved.resolve(['127.0.0.1']);
      const peer = await origin.connection();
      assertWhole(await wholeOf(peer, body), body);
      peer.end();
    }
  });

  promise('a reader that stalls before an urgent byte misses nothing when it goes on', async () => {
    // What the kernel keeps for a reader that has stopped depends on the machine: some megabytes, or some tens of them.
    const marks = ['stall', 'stall'] as const;
    await using proxy = await start();
    await using sender = new Sender('listen', '-', '', { bytes: 512 * MIB, marks });
    using client = await proxy.tunnel(`127.0.0.1:${await sender.line()}`);
    for (const _stall of marks) {
      client.socket.pause();
      assert.equal(await sender.line(), 'stalled');
      client.socket.resume();
      // The byte has no space before the reader has gone on.
      assert.equal(await sender.line(), 'urgent');
    }
    const body = { bytes: Number(/^sent (\d+)$/.exec(await sender.line())?.[1]), marks };
    assertWhole(await wholeOf(client, body), body);
  });

  promise('both directions of a tunnel have urgent bytes at the same time', async () => {
    const body: Marked = { bytes: 8 * MIB, marks: Array.from({ length: 80 }, (_, at) => at * 100_001) };
    await using proxy = await start();
    await using origin = new Sender('listen', '-', '', body);
    const authority = `127.0.0.1:${await origin.line()}`;
    await using client = new Sender('tunnel', proxy.port, connectTo(authority), body);
    const { bytesUp, bytesDown } = await proxy.record();
    assert.deepEqual([bytesUp, bytesDown], [body.bytes, body.bytes]);
    // Both check what they are sent.
    assert.deepEqual([await origin.line(), await client.line()], ['whole', 'whole']);
  });

  promise('an answer of plain HTTP is whole wherever a byte of it is urgent', async () => {
    await using proxy = await start();
    for (const body of EVERYWHERE) {
      await using server = new Sender('answer', '-', answerOf(body.bytes), body);
      using client = await proxy.client();
      const authority = `127.0.0.1:${await server.line()}`;
      client.send(`GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`);
      assertWhole(behindHead(await wholeOf(client, body)), body);
    }
  });

  promise('a request body of plain HTTP is whole wherever a byte of it is urgent', async () => {
    await using origin = await RawOrigin.listen();
    await using proxy = await start();
    for (const [at, body] of EVERYWHERE.entries()) {
      await using _client = new Sender('connect', proxy.port, postTo(origin.authority, body.bytes), body);
      const peer = await origin.connection(at);
      await peer.when(({ received }) => received.includes('\r\n\r\n'), 'head');
      const bytes = peer.received.indexOf('\r\n\r\n') + 4 + body.bytes;
      await peer.when(({ bytesReceived }) => bytesReceived >= bytes, `body of ${textOf(body)}`);
      assertWhole(behindHead(peer.received), body);
      peer.send('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n').end();
      await proxy.record(at);
    }
  });
}

test(
  'urgent bytes of a client on a unix socket, which is a socket of Node, are part of the tunnel',
  { skip: noPerl || noAddon, timeout: TEST_MS_MAX },
  leavesNothing(async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, 'proxy');
    await using origin = await RawOrigin.listen();
    await using _proxy = await ProxyUnderTest.start({ relay: 'native', listen: `unix:${path}` });
    for (const [at, body] of EVERYWHERE.entries()) {
      await using _client = new Sender('tunnel', path, connectTo(origin.authority), body);
      const peer = await origin.connection(at);
      assertWhole(await wholeOf(peer, body), body);
      peer.end();
    }
  }),
);

test(
  'without the addon the kernel takes an urgent byte out of the stream, and all others arrive (portable)',
  { skip: noPerl, timeout: TEST_MS_MAX },
  leavesNothing(async () => {
    await using origin = await RawOrigin.listen();
    await using proxy = await ProxyUnderTest.start({ relay: 'portable' });
    for (const [at, mark] of [0, 64 * KIB, MIB, 3 * MIB - 1].entries()) {
      const body = { bytes: 3 * MIB, marks: [mark] };
      await using _client = new Sender('tunnel', proxy.port, connectTo(origin.authority), body);
      const peer = await origin.connection(at);
      const whole = Buffer.alloc(body.bytes, PATTERN);
      const others = Buffer.concat([whole.subarray(0, mark), whole.subarray(mark + 1)]);
      assert.equal(hashOf(await wholeOf(peer, body)), hashOf(others), textOf(body));
      peer.end();
    }
  }),
);
