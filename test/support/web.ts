import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttp, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { selfSigned, type TestCertificate } from './certificate.ts';

/** What a client sent, as the origin saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly scheme: 'http' | 'https';
}

/** A website for real clients, in the clear and over TLS: pages, uploads, a git repository, an npm registry, an echo. */
export class Web implements AsyncDisposable {
  readonly port: number;
  readonly tlsPort: number;
  readonly certificate: TestCertificate;
  readonly seen: SeenRequest[] = [];
  readonly #servers: readonly Server[];
  readonly #sockets = new Set<Socket>();

  private constructor(servers: readonly [Server, Server], certificate: TestCertificate) {
    this.#servers = servers;
    this.certificate = certificate;
    const [port = 0, tlsPort = 0] = servers.map((server) => (server.address() as AddressInfo).port);
    this.port = port;
    this.tlsPort = tlsPort;
    for (const server of servers) {
      server.on('connection', (socket: Socket) => {
        this.#sockets.add(socket);
        socket.on('close', () => this.#sockets.delete(socket));
      });
    }
  }

  /** `repositories` is a folder of bare git repositories. */
  static async open({ repositories = '/nonexistent' }: { readonly repositories?: string } = {}): Promise<Web> {
    let web: Web | undefined;
    const certificate = selfSigned(['origin.test', 'localhost', '127.0.0.1']);
    const serve =
      (scheme: SeenRequest['scheme']): RequestListener =>
      (request, response) => {
        const { method = '', url = '', headers } = request;
        web?.seen.push({ method, url, headers, scheme });
        if (url.startsWith('/git/')) return gitBackend(request, response, repositories);
        answer(request, response);
      };
    const servers = [createHttp(serve('http')), createHttps(certificate, serve('https'))] as const;
    for (const server of servers) {
      server.on('upgrade', acceptWebSocket).listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
    web = new Web(servers, certificate);
    return web;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#servers.map((server) => once(server, 'close'));
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }
}

const PAGE = '<!doctype html><title>Origin</title><p id="hello">hello from the origin</p><img src="/pixel">';

function answer(request: IncomingMessage, response: ServerResponse): void {
  const { method, url = '' } = request;
  if (method === 'POST' || method === 'PUT') {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => response.end(`got ${bytes} bytes\n`));
  } else if (url === '/page') response.setHeader('Content-Type', 'text/html').end(PAGE);
  else if (url === '/viaduct-test-package') {
    const versions = { '1.2.3': { name: 'viaduct-test-package', version: '1.2.3', dist: { tarball: '', shasum: '' } } };
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ name: 'viaduct-test-package', 'dist-tags': { latest: '1.2.3' }, versions }));
  } else response.end(`hello from ${url}\n`);
}

/** Git's own server for smart HTTP, as a CGI program (RFC 3875). */
function gitBackend(request: IncomingMessage, response: ServerResponse, repositories: string): void {
  const [path = '', query = ''] = (request.url ?? '').slice('/git'.length).split('?');
  const backend = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH ?? '',
      GIT_PROJECT_ROOT: repositories,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_COUNT: '2',
      GIT_CONFIG_KEY_0: 'http.receivepack',
      GIT_CONFIG_VALUE_0: 'true',
      GIT_CONFIG_KEY_1: 'safe.directory',
      GIT_CONFIG_VALUE_1: '*',
      PATH_INFO: path,
      QUERY_STRING: query,
      REQUEST_METHOD: request.method ?? '',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      HTTP_GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      REMOTE_USER: 'test',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  request.pipe(backend.stdin);
  let head: Buffer | undefined = Buffer.alloc(0);
  backend.stdout.on('data', (chunk: Buffer) => {
    if (head === undefined) return void response.write(chunk);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    for (const line of head.toString('latin1', 0, end).split('\r\n')) {
      const [name = '', value = ''] = line.split(': ');
      if (name === 'Status') response.statusCode = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.write(head.subarray(end + 4));
    head = undefined;
  });
  backend.stdout.on('end', () => response.end());
}

/** Accepts a WebSocket (RFC 6455 §4.2.2) and sends every short text back; enough for one word. */
function acceptWebSocket(request: IncomingMessage, socket: Duplex): void {
  const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash('sha1').update(key).digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  socket.on('error', () => undefined).on('end', () => socket.end());
  socket.on('data', (frame: Buffer) => {
    if ((frame[0] ?? 0) !== 0x81) return void socket.end();
    const length = (frame[1] ?? 0) & 0x7f;
    const text = Buffer.from(frame.subarray(6, 6 + length).map((octet, at) => octet ^ (frame[2 + (at % 4)] ?? 0)));
    socket.write(Buffer.concat([Buffer.from([0x81, length]), text]));
  });
}
