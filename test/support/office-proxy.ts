import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, STATUS_CODES } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { ntlmChallenge, ntlmIn } from './authenticating-proxy.ts';

/** Where the proxy of an office leads: every name to these two ports of this machine. */
export interface OfficeNetwork {
  readonly port: number;
  readonly tlsPort: number;
}

/**
 * The upstream proxy of an office: it lets in connections that NTLM has authenticated, and every name behind it, which no
 * other program can resolve, is one website. Port 443 is its TLS port, every other port the one in the clear.
 */
export class OfficeProxy implements AsyncDisposable {
  /** `METHOD target` of what was let in, in order. */
  readonly served: string[] = [];
  /** Whether it accepts who logs on. */
  accepts = true;
  /** Users of the NTLM messages that came. */
  readonly users: string[] = [];
  readonly #server: Server;
  readonly #states = new WeakMap<Socket, 'challenged' | 'in'>();
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(network: OfficeNetwork): Promise<OfficeProxy> {
    const server = createServer();
    const proxy = new OfficeProxy(server);
    server.on('connection', (socket) => {
      proxy.#sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => proxy.#sockets.delete(socket));
    });
    server.on('request', (asked, response) => {
      const refusal = proxy.#refusal(asked);
      if (refusal !== undefined) {
        asked.resume();
        return void response.writeHead(407, { 'Proxy-Authenticate': refusal, 'Content-Length': 0 }).end();
      }
      // Max-Forwards: 0 is for this proxy itself (RFC 9110 §7.6.2).
      if (asked.method === 'TRACE') return void response.writeHead(200, { 'Content-Type': 'message/http' }).end();
      proxy.served.push(`${asked.method} ${asked.url}`);
      const url = new URL(asked.url ?? '');
      const { 'proxy-authorization': _, ...headers } = asked.headers;
      const onward = request({
        host: '127.0.0.1',
        port: network.port,
        method: asked.method,
        path: url.pathname + url.search,
        headers,
        agent: false,
      });
      onward.on('error', () => response.destroy());
      onward.on('response', (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      asked.pipe(onward);
    });
    server.on('connect', (asked: IncomingMessage, client: Socket, head: Buffer) => {
      const refusal = proxy.#refusal(asked);
      if (refusal !== undefined) {
        const line = `HTTP/1.1 407 ${STATUS_CODES[407]}\r\nProxy-Authenticate: ${refusal}\r\nContent-Length: 0\r\n\r\n`;
        client.write(line);
        // Node hands the socket of a CONNECT over for good; the same connection sends the next one.
        server.emit('connection', client);
        return;
      }
      proxy.served.push(`CONNECT ${asked.url}`);
      const port = asked.url?.endsWith(':443') ? network.tlsPort : network.port;
      const target = connect(port, '127.0.0.1', () => client.write('HTTP/1.1 200 OK\r\n\r\n'));
      target.write(head);
      target.on('error', () => client.destroy());
      client.on('error', () => target.destroy());
      target.pipe(client).pipe(target);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The challenge that refuses it; `undefined`: it is let in. */
  #refusal({ socket, headers }: IncomingMessage): string | undefined {
    const message = ntlmIn(headers['proxy-authorization']);
    if (message === undefined) return this.#states.get(socket) === 'in' ? undefined : 'NTLM';
    if (message.type === 1) {
      this.#states.set(socket, 'challenged');
      return `NTLM ${ntlmChallenge().toString('base64')}`;
    }
    if (this.#states.get(socket) !== 'challenged') return 'NTLM';
    this.users.push(message.user);
    this.#states.delete(socket);
    if (!this.accepts) return 'NTLM';
    this.#states.set(socket, 'in');
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
