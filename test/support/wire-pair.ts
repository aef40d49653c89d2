import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { finished } from 'node:stream/promises';
import type { Connection } from '../../src/contracts/stages.ts';
import type { Ownership, Receiver, Sink, Wire } from '../../src/contracts/wire.ts';
import type { EpollSockets } from '../../src/net/epoll-sockets.ts';
import type { EpollWire } from '../../src/net/epoll-wire.ts';
import { SocketWire, StreamWire } from '../../src/net/node-wire.ts';
import { RawPeer } from './raw-client.ts';

/** A wire over a real TCP connection, and its other end in the test's hands. */
export interface WirePair<W extends Wire = SocketWire> extends AsyncDisposable {
  readonly wire: W;
  readonly peer: RawPeer;
  /** The wire as a connection, as modules receive it. */
  readonly connection: Connection;
}

/** The same with a bare socket at the other end, for more bytes than one would keep. The test destroys both. */
export interface SocketPair<W extends Wire = SocketWire> {
  readonly wire: W;
  /** What is under the wire now, also after another owner has taken it. */
  readonly socket: Pick<Sink, 'destroy'>;
  readonly accepted: Socket;
  readonly connection: Connection;
}

/** A wire, what is under it, and the socket at its other end. */
interface WireSetup<W extends Wire> {
  readonly wire: W;
  readonly socket: Pick<Sink, 'destroy'>;
  readonly accepted: Socket;
}
export type MakeWire<W extends Wire = Wire> = () => Promise<WireSetup<W>>;

export async function wirePair(early?: Buffer): Promise<WirePair>;
export async function wirePair<W extends Wire>(early: Buffer | undefined, make: MakeWire<W>): Promise<WirePair<W>>;
export async function wirePair(early?: Buffer, make: MakeWire = nodeWire): Promise<WirePair<Wire>> {
  const { wire, socket, accepted, connection } = await socketPair(early, make);
  const peer = new RawPeer(accepted);
  return {
    wire,
    peer,
    connection,
    async [Symbol.asyncDispose]() {
      socket.destroy();
      if (isStream(socket)) await finished(socket).catch(() => undefined);
      accepted.destroy();
      await finished(accepted).catch(() => undefined);
    },
  };
}

export async function socketPair(early?: Buffer): Promise<SocketPair>;
export async function socketPair<W extends Wire>(early: Buffer | undefined, make: MakeWire<W>): Promise<SocketPair<W>>;
export async function socketPair(
  early: Buffer = Buffer.alloc(0),
  make: MakeWire = nodeWire,
): Promise<SocketPair<Wire>> {
  const { wire, socket, accepted } = await make();
  const dispose = () => void wire.stream.destroy();
  return {
    wire,
    socket,
    accepted,
    connection: { wire, early, address: '127.0.0.1', [Symbol.dispose]: dispose },
  };
}

const isStream = (socket: Pick<Sink, 'destroy'>): socket is Socket => 'readableEnded' in socket;

/** A wire over a socket of Node. */
export const nodeWire: MakeWire<SocketWire> = async () => {
  using server = await oneClient();
  const wire = new SocketWire();
  const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true, onread: wire.onread });
  wire.attach(socket);
  const [accepted] = await Promise.all([server.client, once(socket, 'connect')]);
  return { wire, socket, accepted };
};

/** The same over the stream that any socket is. */
export const streamWire: MakeWire<StreamWire> = async () => {
  using server = await oneClient();
  const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
  const wire = new StreamWire(socket);
  const [accepted] = await Promise.all([server.client, once(socket, 'connect')]);
  return { wire, socket, accepted };
};

/** A wire over an epoll socket that has connected. */
export const dialledBy =
  (sockets: EpollSockets): MakeWire<EpollWire> =>
  async () => {
    using server = await oneClient();
    const wire = await new Promise<EpollWire>((resolve, reject) => {
      const dialled = sockets.dial('127.0.0.1', server.port, (error) => (error ? reject(error) : resolve(dialled)));
    });
    return { wire, socket: wire, accepted: await server.client };
  };

/** A wire over an epoll socket that was accepted. */
export const acceptedBy =
  (sockets: EpollSockets): MakeWire<EpollWire> =>
  async () => {
    const listener = sockets.listen('127.0.0.1', 0, 1, undefined);
    const came = new Promise<EpollWire>((resolve, reject) => {
      listener.serve({ accepted: resolve, failed: reject });
    });
    const accepted = connect({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true });
    const [wire] = await Promise.all([came, once(accepted, 'connect')]);
    listener.close();
    return { wire, socket: wire, accepted };
  };

/** A server for one client. */
async function oneClient(): Promise<Disposable & { readonly port: number; readonly client: Promise<Socket> }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const client = once(server, 'connection').then(([socket]: Socket[]) => {
    if (socket === undefined) throw new Error('no client');
    return socket;
  });
  return { port: address.port, client, [Symbol.dispose]: () => void server.close() };
}

/** A receiver that records what it receives. */
export class Notes implements Receiver {
  text = '';
  readonly events: string[] = [];
  readonly ownerships: Ownership[] = [];
  #waiting: (() => void)[] = [];

  bytes(chunk: Buffer, ownership: Ownership): void {
    this.text += chunk.toString('latin1');
    this.ownerships.push(ownership);
    this.#look();
  }

  end(): void {
    this.events.push('end');
    this.#look();
  }

  failed(error: Error): void {
    this.events.push('code' in error ? `failed ${error.code}` : 'failed');
    this.#look();
  }

  async when(isTrue: (notes: this) => boolean): Promise<void> {
    while (!isTrue(this)) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #look(): void {
    for (const go of this.#waiting.splice(0)) go();
  }
}
