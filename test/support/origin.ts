import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { type Message, messagesIn } from './http-messages.ts';
import { RawPeer } from './raw-client.ts';

/** A TCP server that a test scripts, and that keeps what it receives. */
export class RawOrigin implements AsyncDisposable {
  readonly port: number;
  readonly host: string;
  /** Every connection so far, in order. */
  readonly connections: RawPeer[] = [];
  openNow = 0;
  openMost = 0;
  readonly #server: Server;
  readonly #waiting: { readonly at: number; readonly resolve: (peer: RawPeer) => void }[] = [];

  private constructor(server: Server, host: string, port: number, serve: (peer: RawPeer) => void) {
    this.#server = server;
    this.host = host;
    this.port = port;
    server.on('connection', (socket) => {
      const peer = new RawPeer(socket);
      this.openNow += 1;
      this.openMost = Math.max(this.openMost, this.openNow);
      socket.on('close', () => {
        this.openNow -= 1;
      });
      this.connections.push(peer);
      serve(peer);
      for (const wait of this.#waiting) if (wait.at === this.connections.length - 1) wait.resolve(peer);
    });
  }

  /** Listens on a free port. `serve` is called with each connection; without it the test answers by hand. */
  static async listen(
    serve: (peer: RawPeer) => void = () => undefined,
    { host = '127.0.0.1', port = 0 }: { readonly host?: string; readonly port?: number } = {},
  ): Promise<RawOrigin> {
    const server = createServer({ allowHalfOpen: true });
    server.listen(port, host);
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('an origin without a port');
    return new RawOrigin(server, host, address.port, serve);
  }

  get authority(): string {
    return this.host.includes(':') ? `[${this.host}]:${this.port}` : `${this.host}:${this.port}`;
  }

  /** The nth connection, counted from 0, once it is there. */
  connection(at = 0): Promise<RawPeer> {
    const there = this.connections[at];
    return there === undefined ? new Promise((resolve) => this.#waiting.push({ at, resolve })) : Promise.resolve(there);
  }

  /** All that all connections were sent. */
  get text(): string {
    return this.connections.map(({ text }) => text).join('');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.connections) socket.destroy();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }
}

/** Serves every complete request with `answer`; a request that has `Connection: close` is the last of its connection. */
export function answering(answer: (request: Message, peer: RawPeer) => string | Buffer): (peer: RawPeer) => void {
  return (peer) => {
    let answered = 0;
    peer.socket.on('data', () => {
      const complete = messagesIn(peer.received, { kind: 'request' }).filter((request) => request.complete);
      for (const request of complete.slice(answered)) {
        answered += 1;
        peer.send(answer(request, peer));
        if (/close/i.test(request.fields.get('connection') ?? '')) peer.end();
      }
    });
    peer.socket.on('end', () => peer.end());
  };
}

/** `HTTP/1.1 200 OK` with a body and its length. */
export const ok = (body: string, ...fields: string[]): string =>
  `HTTP/1.1 200 OK\r\n${fields.map((field) => `${field}\r\n`).join('')}Content-Length: ${body.length}\r\n\r\n${body}`;

/** Echoes every byte, and ends when the client does. */
export function echo(peer: RawPeer): void {
  peer.socket.pipe(peer.socket);
}
