import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { hashOf, hashOfPattern, MB, patternOf, sendPattern } from '../../test/support/bulk.ts';
import { selfSigned, type TestCertificate } from '../../test/support/certificate.ts';
import { dialScope } from '../../test/support/dial-scope.ts';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import { RawOrigin } from '../../test/support/origin.ts';
import { Notes } from '../../test/support/wire-pair.ts';
import { ProxyError } from '../core/failure.ts';
import type { Connection, Hop } from '../core/stages.ts';
import { parseProxyUrl } from '../protocol/proxy-url.ts';
import { openTcp } from './tcp.ts';
import { tlsToProxies } from './tls.ts';
import { withEarly } from './with-early.ts';

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

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [...this.sockets, ...this.#below]) socket.destroy();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }
}

const signal = new AbortController().signal;
const secure = tlsToProxies({ settingsOf: () => ({ ca: certificate.cert }), connectMs: 5_000 });
const tcpTo = (port: number): Promise<Connection> => openTcp('127.0.0.1', port, signal);
const hopTo = (port: number, host = 'localhost'): Hop => parseProxyUrl(`https://${host}:${port}`, 'user');
const secured = async (port: number): Promise<Connection> => secure(await tcpTo(port), hopTo(port), dialScope());

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(
    `${version}: 50 MB go each way, and each side ends by itself`,
    leavesNothing(async () => {
      const bytes = 50 * MB;
      await using proxy = await TlsProxy.listen(certificate, version);
      using connection = await secured(proxy.port);
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

test(
  'a reader that does not read holds the writer back, and gets every byte when it does',
  leavesNothing(async () => {
    await using proxy = await TlsProxy.listen(certificate);
    using connection = await secured(proxy.port);
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
    assert.ok(written < 20 * MB, `${written} bytes were taken though nobody reads`);
    const stream = connection.wire.toDuplex();
    const heard = hashOf(stream);
    stream.resume();
    assert.deepEqual(await heard, { hash: hashOfPattern(bytes), bytes });
  }),
);

test(
  'a reset right behind an end closes the socket',
  leavesNothing(async () => {
    await using proxy = await TlsProxy.listen(certificate);
    for (let turns = 0; turns < 4; turns++) {
      using connection = await secured(proxy.port);
      connection.wire.stream.end();
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      connection.wire.reset();
    }
  }),
);

test(
  'a reset below reaches both sides as one',
  leavesNothing(async () => {
    await using proxy = await TlsProxy.listen(certificate);
    using connection = await secured(proxy.port);
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
    await notes.when(({ told }) => told.length > 0);
    assert.deepEqual(notes.told, ['failed ECONNRESET']);
  }),
);

test(
  'disposing closes the connection below',
  leavesNothing(async () => {
    await using proxy = await TlsProxy.listen(certificate);
    const connection = await secured(proxy.port);
    const far = await proxy.accepted();
    far.resume();
    const ended = once(far, 'end');
    connection[Symbol.dispose]();
    await ended;
    assert.equal(connection.wire.stream.destroyed, true);
  }),
);

interface Rejected {
  readonly what: string;
  readonly certificate: TestCertificate;
  readonly trusted: boolean;
  readonly host: string;
  readonly detail: RegExp;
  readonly told: RegExp;
}
const other = selfSigned(['other.test']);
const REJECTED: readonly Rejected[] = [
  {
    what: 'a certificate that nobody trusts',
    certificate,
    trusted: false,
    host: 'localhost',
    detail: /DEPTH_ZERO_SELF_SIGNED_CERT.*upstreams: \[\{ host: "localhost", ca: FILE \}\]/,
    told: /^The certificate of https:\/\/localhost:\d+ is signed by itself alone\.$/,
  },
  {
    what: 'a certificate for another name',
    certificate: other,
    trusted: true,
    host: 'localhost',
    detail: /ERR_TLS_CERT_ALTNAME_INVALID, it names DNS:other\.test\).*host: "localhost", serverName: NAME/,
    told: / is for another name\.$/,
  },
  {
    what: 'a certificate without the address',
    certificate: other,
    trusted: true,
    host: '127.0.0.1',
    detail: /ERR_TLS_CERT_ALTNAME_INVALID/,
    told: / is for another name\.$/,
  },
];
for (const { what, certificate: shown, trusted, host, detail, told } of REJECTED) {
  test(
    `${what} is rejected, and the message says what to write`,
    leavesNothing(async () => {
      await using proxy = await TlsProxy.listen(shown);
      const tls = tlsToProxies({ settingsOf: () => (trusted ? { ca: shown.cert } : {}), connectMs: 5_000 });
      const connection = await tcpTo(proxy.port);
      await assert.rejects(tls(connection, hopTo(proxy.port, host), dialScope()), (error) => {
        assert.ok(error instanceof ProxyError);
        assert.equal(error.code, 'certificate_rejected');
        assert.match(error.detail, detail);
        assert.match(error.told ?? '', told);
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
    const tls = tlsToProxies({ settingsOf: () => settings, connectMs: 5_000 });
    using _named = await tls(await tcpTo(proxy.port), hopTo(proxy.port), dialScope());
    await using addressed = await TlsProxy.listen(certificate);
    using _addressed = await secure(await tcpTo(addressed.port), hopTo(addressed.port, '127.0.0.1'), dialScope());
    assert.equal((await addressed.accepted()).servername, false);
  }),
);

test(
  'a proxy that speaks no TLS is told as that, one that speaks first too',
  leavesNothing(async () => {
    await using plain = await RawOrigin.listen((peer) => {
      peer.socket.once('data', () => peer.send('HTTP/1.1 400 Bad Request\r\n\r\n').end());
    });
    const isPlain = (error: unknown) =>
      error instanceof ProxyError && error.code === 'tls_failed' && /begins with http:/.test(error.told ?? '');
    await assert.rejects(secured(plain.port), isPlain);
    await using closing = await RawOrigin.listen((peer) => void peer.end());
    await assert.rejects(secured(closing.port), { code: 'tls_failed' });
    const early = withEarly(await tcpTo(plain.port), Buffer.from('220'));
    await assert.rejects(secure(early, hopTo(plain.port), dialScope()), { code: 'tls_failed' });
    const gone = await tcpTo(plain.port);
    gone.wire.stream.destroy();
    await assert.rejects(secure(gone, hopTo(plain.port), dialScope()), { code: 'tls_failed' });
  }),
);

test(
  'a handshake that does not come to its end is connect_timeout, one that is aborted has the reason of its signal',
  leavesNothing(async () => {
    await using silent = await RawOrigin.listen();
    const hasty = tlsToProxies({ settingsOf: () => ({}), connectMs: 50 });
    await assert.rejects(hasty(await tcpTo(silent.port), hopTo(silent.port), dialScope()), { code: 'connect_timeout' });
    const abort = new AbortController();
    const dialling = secure(await tcpTo(silent.port), hopTo(silent.port), dialScope({ signal: abort.signal }));
    const reason = new ProxyError('client_gone', 'test');
    await (await silent.connection(1)).when(({ bytesReceived }) => bytesReceived > 0);
    abort.abort(reason);
    await assert.rejects(dialling, (error) => error === reason);
  }),
);
