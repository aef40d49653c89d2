import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { connect } from 'node:tls';

/** Puts TLS around the bytes of its clients, on their way to a proxy; ends and resets go through as they are. */
export class TlsRelay implements Disposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
  }

  static async to(port: number): Promise<TlsRelay> {
    const sockets = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const transport = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
      transport.on('error', () => undefined);
      const secured = connect({ socket: transport, rejectUnauthorized: false });
      for (const [one, other] of [
        [client, secured],
        [secured, client],
      ] as const) {
        sockets.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          sockets.delete(one);
          if (!other.writableEnded) other.destroy();
        });
        one.pipe(other);
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TlsRelay(server, sockets);
  }

  [Symbol.dispose](): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
