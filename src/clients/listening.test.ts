import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import { rawClient } from '../../test/support/raw-client.ts';
import { until } from '../../test/support/until.ts';
import { Notes } from '../../test/support/wire-pair.ts';
import type { Wire } from '../contracts/wire.ts';
import { type EpollSockets, epollSockets } from '../net/epoll-sockets.ts';
import { ListenError, type ListeningSocket, openListening } from './listening.ts';

const open = (sockets: EpollSockets | undefined, port = 0, host = '127.0.0.1'): Promise<ListeningSocket> =>
  openListening({ kind: 'tcp', protocol: 'http', host, port, optional: false }, { epollSockets: sockets });

const portOf = ({ listen }: ListeningSocket): number => (listen.kind === 'tcp' ? listen.port : 0);

interface Came {
  readonly wire: Wire;
  readonly address: string;
  readonly port: number;
}

const nextOf = (socket: ListeningSocket): Promise<Came> =>
  new Promise((resolve, reject) => {
    socket.serve({ accepted: (wire, address, port) => resolve({ wire, address, port }), failed: reject });
  });

/** For a socket that accepts before `serve` to have done so; no event reports that. */
const ACCEPT_MS = 20;

/** What every listening socket promises, Node's and the addon's. */
function listeningKeepsItsPromises(name: string, sockets: EpollSockets | undefined): void {
  const promise = (what: string, body: () => Promise<void>) => test(`${name}: ${what}`, leavesNothing(body));

  promise('clients that connected before `serve` are served then, with what they have sent', async () => {
    const socket = await open(sockets);
    using client = await rawClient(portOf(socket));
    client.send('first words');
    await until(() => client.socket.writableLength === 0, 'the kernel has the bytes');
    const { wire, address, port } = await nextOf(socket);
    assert.deepEqual([address, port], ['127.0.0.1', client.socket.localPort]);
    const notes = new Notes();
    wire.deliverTo(notes);
    await notes.when(({ text }) => text === 'first words');
    wire.stream.end();
    assert.equal(await client.ended(), 'fin');
    wire.stream.destroy();
    socket.close();
  });

  promise('on an address for both families a client of IPv4 has its own address', async () => {
    const socket = await open(sockets, 0, '::');
    using client = await rawClient(portOf(socket));
    const { wire, address, port } = await nextOf(socket);
    assert.deepEqual([address, port], ['127.0.0.1', client.socket.localPort]);
    wire.stream.destroy();
    socket.close();
  });

  promise('an address that another socket has is an error that says so', async () => {
    const socket = await open(sockets);
    await assert.rejects(open(sockets, portOf(socket)), (error) => {
      assert.ok(error instanceof ListenError);
      assert.equal(error.code, 'EADDRINUSE');
      assert.equal(error.message, `cannot listen on 127.0.0.1:${portOf(socket)}: EADDRINUSE`);
      return true;
    });
    socket.close();
  });

  promise('a closed socket refuses, and the clients that still waited are closed', async () => {
    const socket = await open(sockets);
    using waiting = await rawClient(portOf(socket));
    await wait(ACCEPT_MS);
    socket.close();
    await waiting.ended();
    const late = connect({ host: '127.0.0.1', port: portOf(socket) });
    const [error] = await once(late, 'error');
    assert.equal(error.code, 'ECONNREFUSED');
  });
}

listeningKeepsItsPromises('a socket of Node', undefined);
const native = epollSockets();
if (native !== undefined) listeningKeepsItsPromises('an epoll socket', native);
