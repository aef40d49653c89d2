import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { test } from 'node:test';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { hashOf, hashOfPattern, MB, patternOf, sendPattern } from '../../../test/support/bulk.ts';
import { selfSigned, type TestCertificate } from '../../../test/support/certificate.ts';
import { dialScope } from '../../../test/support/dial-scope.ts';
import { leavesNothing } from '../../../test/support/no-leaks.ts';
import { RawOrigin } from '../../../test/support/origin.ts';
import { Notes } from '../../../test/support/wire-pair.ts';
import type { TlsUse } from '../../contracts/dialing.ts';
import { ProxyError } from '../../contracts/failure.ts';
import type { Connection, Hop } from '../../contracts/stages.ts';
import { parseProxyUrl } from '../../protocol/routes/proxy-url.ts';
import { systemClock } from '../../util/clock.ts';
import { openTcp } from '../dial/tcp.ts';
import { withEarly } from '../with-early.ts';
import { tlsToProxies } from './tls-to-proxies.ts';

const certificate = selfSigned();

/** A TLS server, and the connections that it has. */
class TlsProxy implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly sockets: TLSSocket[] = [];
  readonly #below = new Set<Socket>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
    server.on('connection', (socket: Socket) => this.#below.add(socket));
    server.on('secureConnection', (socket) => {
      this.sockets.push(socket);
      socket.on('error', () => undefined);
    });
  }

  static async listen(
    { key, cert }: TestCertificate,
    maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3',
  ): Promise<TlsProxy> {
    const server = createServer({ key, cert, maxVersion, allowHalfOpen: true, ALPNProtocols: ['h2', 'http/1.1'] });
    server.on('tlsClientError', () => undefined).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    return new TlsProxy(server, address.port);
  }

  async accepted(): Promise<TLSSocket> {
    if (this.sockets[0] === undefined) await once(this.#server, 'secureConnection');
    const [socket] = this.sockets;
    assert.ok(socket !== undefined);
    return socket;
  }

  /** Closes the transport with a FIN, and TLS says nothing about it. */
  closeTransport(): void {
    for (const socket of this.#below) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [...this.sockets, ...this.#below]) socket.destroy();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }
}

const signal = new AbortController().signal;
const secure = tlsToProxies({ settingsOf: () => ({ ca: certificate.cert }), connectMs: 5_000, clock: systemClock });
const tcpTo = (port: number): Promise<Connection> => openTcp('127.0.0.1', port, signal);
const hopTo = (port: number, host = 'localhost'): Hop => parseProxyUrl(`https://${host}:${port}`, 'user');
const secured = async (port: number, use: TlsUse = 'tunnel'): Promise<Connection> =>
  secure(await tcpTo(port), hopTo(port), dialScope(), use);
const USES = ['tunnel', 'messages'] as const satisfies readonly TlsUse[];

for (const [version, use] of [
  ['TLSv1.2', 'tunnel'],
  ['TLSv1.2', 'messages'],
  ['TLSv1.3', 'tunnel'],
  ['TLSv1.3', 'messages'],
] as const) {
  test(
    `${version}, ${use}: 50 MB go each way, and each side ends by itself`,
    leavesNothing(async () => {
      const bytes = 50 * MB;
      await using proxy = await TlsProxy.listen(certificate, version);
      using connection = await secured(proxy.port, use);
      const far = await proxy.accepted();
      assert.equal(far.alpnProtocol, 'http/1.1');
      const stream = connection.wire.toDuplex();
      const sent = sendPattern(stream, bytes);
      const heard = await hashOf(far);
      assert.deepEqual(heard, { hash: hashOfPattern(bytes), bytes });
      await sent;
      // The near side has ended, and the far side still speaks.
      const answer = hashOf(stream);
      stream.resume();
      await sendPattern(far, bytes);
      assert.deepEqual(await answer, { hash: hashOfPattern(bytes), bytes });
    }),
  );
}

for (const use of USES) {
  test(
    `${use}: a reader that does not read holds the writer back, and gets every byte when it does`,
    leavesNothing(async () => {
      await using proxy = await TlsProxy.listen(certificate);
      using connection = await secured(proxy.port, use);
      const far = await proxy.accepted();
      const bytes = 50 * MB;
      let written = 0;
      const source = patternOf(bytes);
      source.on('data', (chunk: Buffer) => {
        written += chunk.length;
      });
      source.pipe(far);
      // What is written stands still when all buffers on the way are full.
      for (let before = -1; before !== written || written === 0; ) {
        before = written;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert.ok(written < 20 * MB, `${written} bytes were taken without a reader`);
      const stream = connection.wire.toDuplex();
      const heard = hashOf(stream);
      stream.resume();
      assert.deepEqual(await heard, { hash: hashOfPattern(bytes), bytes });
    }),
  );
}

for (const use of USES) {
  test(
    `${use}: a reset right behind an end closes the socket`,
    leavesNothing(async () => {
      await using proxy = await TlsProxy.listen(certificate);
      for (let turns = 0; turns < 4; turns++) {
        using connection = await secured(proxy.port, use);
        connection.wire.stream.end();
        for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
        connection.wire.reset();
      }
    }),
  );
}

for (const use of USES) {
  test(
    `${use}: a reset below reaches both sides as one`,
    leavesNothing(async () => {
      await using proxy = await TlsProxy.listen(certificate);
      using connection = await secured(proxy.port, use);
      const far = await proxy.accepted();
      far.resume();
      const notes = new Notes();
      connection.wire.deliverTo(notes);
      // Session tickets are on their way until then, and writing one would swallow the error on the far side.
      far.write('ready');
      await notes.when(({ text }) => text === 'ready');
      const error = once(far, 'error');
      connection.wire.reset();
      assert.equal((await error)[0].code, 'ECONNRESET');
      await notes.when(({ events }) => events.length > 0);
      assert.deepEqual(notes.events, ['failed ECONNRESET']);
    }),
  );
}

for (const use of USES) {
  test(
    `${use}: disposing closes the connection below`,
    leavesNothing(async () => {
      await using proxy = await TlsProxy.listen(certificate);
      const connection = await secured(proxy.port, use);
      const far = await proxy.accepted();
      far.resume();
      const ended = once(far, 'end');
      connection[Symbol.dispose]();
      await ended;
      assert.equal(connection.wire.stream.destroyed, true);
    }),
  );
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  for (const reader of ['reads at once', 'begins to read when all is over'] as const) {
    for (const [how, outcome] of [
      ['close_notify', 'end'],
      ['a closed transport', 'failed ECONNRESET'],
      ['close_notify and a closed transport', 'end'],
    ] as const) {
      test(
        `${version}: ${how} is heard as ${outcome} behind every byte by a receiver that ${reader}`,
        leavesNothing(async () => {
          const bytes = 300_000;
          await using proxy = await TlsProxy.listen(certificate, version);
          using connection = await secured(proxy.port, 'messages');
          const far = await proxy.accepted();
          const notes = new Notes();
          if (reader === 'reads at once') connection.wire.deliverTo(notes);
          await new Promise((written) => far.write(Buffer.alloc(bytes, 'x'), written));
          if (how !== 'a closed transport') await new Promise<void>((ended) => far.end(ended));
          if (how !== 'close_notify') proxy.closeTransport();
          if (reader !== 'reads at once') {
            for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
            connection.wire.deliverTo(notes);
          }
          await notes.when((seen) => seen.events.length > 0);
          assert.deepEqual([notes.text.length, ...notes.events], [bytes, outcome]);
          // A later receiver hears the same.
          const later = new Notes();
          connection.wire.deliverTo(later);
          await later.when((seen) => seen.events.length > 0);
          assert.deepEqual(later.events, [outcome]);
        }),
      );
    }
  }
}

test(
  'a transport that closes in the middle of a record has no end',
  leavesNothing(async () => {
    await using proxy = await TlsProxy.listen(certificate);
    await using cutting = await RawOrigin.listen((peer) => {
      const onward = connectTcp({ port: proxy.port, host: '127.0.0.1' });
      onward.on('error', () => undefined);
      peer.socket.pipe(onward);
      let left = Number.POSITIVE_INFINITY;
      onward.on('data', (chunk: Buffer) => {
        // Of the record with the message all but its last byte passes.
        if (cutNext) left = chunk.length - 1;
        peer.send(chunk.subarray(0, left));
        if (cutNext) peer.end();
      });
    });
    let cutNext = false;
    using connection = await secured(cutting.port, 'messages');
    const notes = new Notes();
    connection.wire.deliverTo(notes);
    const far = await proxy.accepted();
    far.write('first');
    await notes.when(({ text }) => text === 'first');
    cutNext = true;
    far.write('second');
    await notes.when(({ events }) => events.length > 0);
    assert.deepEqual([notes.text, ...notes.events], ['first', 'failed ECONNRESET']);
  }),
);

interface Rejected {
  readonly what: string;
  readonly certificate: TestCertificate;
  readonly trusted: boolean;
  readonly host: string;
  readonly detail: RegExp;
  readonly clientDetail: RegExp;
}
const other = selfSigned(['other.test']);
const REJECTED: readonly Rejected[] = [
  {
    what: 'a certificate of an unknown authority',
    certificate,
    trusted: false,
    host: 'localhost',
    detail: /DEPTH_ZERO_SELF_SIGNED_CERT.*upstreams: \[\{ host: "localhost", ca: FILE \}\]/,
    clientDetail: /^The certificate of https:\/\/localhost:\d+ is signed by itself alone\.$/,
  },
  {
    what: 'a certificate for another name',
    certificate: other,
    trusted: true,
    host: 'localhost',
    detail: /ERR_TLS_CERT_ALTNAME_INVALID, it names DNS:other\.test\).*host: "localhost", serverName: NAME/,
    clientDetail: / is for another name\.$/,
  },
  {
    what: 'a certificate without the address',
    certificate: other,
    trusted: true,
    host: '127.0.0.1',
    detail: /ERR_TLS_CERT_ALTNAME_INVALID/,
    clientDetail: / is for another name\.$/,
  },
];
for (const { what, certificate: shown, trusted, host, detail, clientDetail } of REJECTED) {
  test(
    `${what} is rejected, and the message says what to write`,
    leavesNothing(async () => {
      await using proxy = await TlsProxy.listen(shown);
      const tls = tlsToProxies({
        settingsOf: () => (trusted ? { ca: shown.cert } : {}),
        connectMs: 5_000,
        clock: systemClock,
      });
      const connection = await tcpTo(proxy.port);
      await assert.rejects(tls(connection, hopTo(proxy.port, host), dialScope(), 'tunnel'), (error) => {
        assert.ok(error instanceof ProxyError);
        assert.equal(error.code, 'certificate_rejected');
        assert.match(error.detail, detail);
        assert.match(error.clientDetail ?? '', clientDetail);
        return true;
      });
      assert.equal(connection.wire.stream.destroyed, true);
    }),
  );
}

test(
  'a certificate for another name is good when that is the name to expect, and an address needs no name',
  leavesNothing(async () => {
    await using proxy = await TlsProxy.listen(other);
    const settings = { ca: other.cert, servername: 'other.test' };
    const tls = tlsToProxies({ settingsOf: () => settings, connectMs: 5_000, clock: systemClock });
    using _named = await tls(await tcpTo(proxy.port), hopTo(proxy.port), dialScope(), 'tunnel');
    await using addressed = await TlsProxy.listen(certificate);
    using _addressed = await secure(
      await tcpTo(addressed.port),
      hopTo(addressed.port, '127.0.0.1'),
      dialScope(),
      'tunnel',
    );
    assert.equal((await addressed.accepted()).servername, false);
  }),
);

test(
  'a proxy that does not use TLS is reported as that, one that sends first too',
  leavesNothing(async () => {
    await using plain = await RawOrigin.listen((peer) => {
      peer.socket.once('data', () => peer.send('HTTP/1.1 400 Bad Request\r\n\r\n').end());
    });
    const isPlain = (error: unknown) =>
      error instanceof ProxyError &&
      error.code === 'tls_failed' &&
      /write its URL with http:/.test(error.clientDetail ?? '');
    await assert.rejects(secured(plain.port), isPlain);
    await using closing = await RawOrigin.listen((peer) => void peer.end());
    await assert.rejects(secured(closing.port), { code: 'tls_failed' });
    const early = withEarly(await tcpTo(plain.port), Buffer.from('220'));
    await assert.rejects(secure(early, hopTo(plain.port), dialScope(), 'tunnel'), { code: 'tls_failed' });
    const gone = await tcpTo(plain.port);
    gone.wire.stream.destroy();
    await assert.rejects(secure(gone, hopTo(plain.port), dialScope(), 'tunnel'), { code: 'tls_failed' });
  }),
);

test(
  'a handshake that does not come to its end is connect_timeout, one that is aborted has the reason of its signal',
  leavesNothing(async () => {
    await using silent = await RawOrigin.listen();
    const hasty = tlsToProxies({ settingsOf: () => ({}), connectMs: 50, clock: systemClock });
    await assert.rejects(hasty(await tcpTo(silent.port), hopTo(silent.port), dialScope(), 'tunnel'), {
      code: 'connect_timeout',
    });
    const abort = new AbortController();
    const dialling = secure(
      await tcpTo(silent.port),
      hopTo(silent.port),
      dialScope({ signal: abort.signal }),
      'tunnel',
    );
    const reason = new ProxyError('client_gone', 'test');
    await (await silent.connection(1)).when(({ bytesReceived }) => bytesReceived > 0);
    abort.abort(reason);
    await assert.rejects(dialling, (error) => error === reason);
  }),
);
