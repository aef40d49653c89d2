import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { finished } from 'node:stream/promises';
import type { Ownership, Receiver } from '../../src/core/source.ts';
import type { Connection } from '../../src/core/stages.ts';
import { SocketWire } from '../../src/core/wire.ts';
import { RawPeer } from './raw-client.ts';

/** A wire over a real TCP connection, and its other end in the test's hands. */
export interface WirePair extends AsyncDisposable {
  readonly wire: SocketWire;
  readonly peer: RawPeer;
  /** The wire as the connection that a room would be given. */
  readonly connection: Connection;
}

export async function wirePair(early: Buffer = Buffer.alloc(0)): Promise<WirePair> {
  const { wire, socket, accepted, connection } = await socketPair(early);
  const peer = new RawPeer(accepted);
  return {
    wire,
    peer,
    connection,
    async [Symbol.asyncDispose]() {
      for (const one of [socket, peer.socket]) {
        one.destroy();
        await finished(one).catch(() => undefined);
      }
    },
  };
}

/** The same with a bare socket at the other end, for more bytes than one would keep. The test destroys both. */
export async function socketPair(early: Buffer = Buffer.alloc(0)): Promise<{
  readonly wire: SocketWire;
  readonly socket: Socket;
  readonly accepted: Socket;
  readonly connection: Connection;
}> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const wire = new SocketWire();
  const socket = connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true, onread: wire.onread });
  wire.attach(socket);
  const [[accepted]] = await Promise.all([once(server, 'connection'), once(socket, 'connect')]);
  server.close();
  const dispose = () => void socket.destroy();
  return {
    wire,
    socket,
    accepted,
    connection: { wire, early, address: '127.0.0.1', [Symbol.dispose]: dispose },
  };
}

/** A receiver that notes what it is told. */
export class Notes implements Receiver {
  text = '';
  readonly told: string[] = [];
  readonly ownerships: Ownership[] = [];
  #waiting: (() => void)[] = [];

  bytes(chunk: Buffer, ownership: Ownership): void {
    this.text += chunk.toString('latin1');
    this.ownerships.push(ownership);
    this.#look();
  }

  end(): void {
    this.told.push('end');
    this.#look();
  }

  failed(error: Error): void {
    this.told.push('code' in error ? `failed ${error.code}` : 'failed');
    this.#look();
  }

  async when(isTrue: (notes: this) => boolean): Promise<void> {
    while (!isTrue(this)) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #look(): void {
    for (const go of this.#waiting.splice(0)) go();
  }
}
