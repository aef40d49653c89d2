import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP relay on loopback that passes all bytes on, each so many milliseconds late. */
export interface SlowRelay extends AsyncDisposable {
  readonly port: number;
  /** From now on. */
  delayMs: number;
}

export async function slowRelay(to: number, delayMs: number): Promise<SlowRelay> {
  const sockets = new Set<Socket>();
  const relay = { delayMs };
  const pass = (from: Socket, into: Socket) => {
    sockets.add(from);
    from.on('data', (bytes) => setTimeout(() => into.write(bytes), relay.delayMs));
    from.on('error', () => into.destroy());
    from.on('close', () => {
      sockets.delete(from);
      into.destroy();
    });
  };
  const server = createServer((client) => {
    const upstream = connect(to, '127.0.0.1');
    pass(client, upstream);
    pass(upstream, client);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a relay without a port');
  return Object.assign(relay, {
    port: address.port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  });
}
