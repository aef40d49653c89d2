import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { leavesNothing } from '../../test/support/no-leaks.ts';
import { rawClient } from '../../test/support/raw-client.ts';
import { Notes } from '../../test/support/wire-pair.ts';
import type { Wire } from '../core/source.ts';
import { type Lane, nativeLane } from '../native/lane.ts';
import { ListenError, type ListeningSocket, openListening } from './listening.ts';

const open = (lane: Lane | undefined, port = 0, host = '127.0.0.1'): Promise<ListeningSocket> =>
  openListening({ kind: 'tcp', host, port, optional: false }, undefined, lane);

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

/** What every listening socket promises, whoever accepts on it. */
function listeningKeepsItsPromises(name: string, lane: Lane | undefined): void {
  const promise = (what: string, body: () => Promise<void>) => test(`${name}: ${what}`, leavesNothing(body));

  promise('those who came before anybody was served are served then, with what they have sent', async () => {
    const socket = await open(lane);
    using client = await rawClient(portOf(socket));
    client.send('first words');
    await wait(20);
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
    const socket = await open(lane, 0, '::');
    using client = await rawClient(portOf(socket));
    const { wire, address, port } = await nextOf(socket);
    assert.deepEqual([address, port], ['127.0.0.1', client.socket.localPort]);
    wire.stream.destroy();
    socket.close();
  });

  promise('an address that somebody else has is an error that says so', async () => {
    const socket = await open(lane);
    await assert.rejects(open(lane, portOf(socket)), (error) => {
      assert.ok(error instanceof ListenError);
      assert.equal(error.code, 'EADDRINUSE');
      assert.equal(error.message, `cannot listen on http://127.0.0.1:${portOf(socket)}: EADDRINUSE`);
      return true;
    });
    socket.close();
  });

  promise('a closed one refuses, and those who still waited are closed', async () => {
    const socket = await open(lane);
    using waiting = await rawClient(portOf(socket));
    await wait(20);
    socket.close();
    await waiting.ended();
    const late = connect({ host: '127.0.0.1', port: portOf(socket) });
    const [error] = await once(late, 'error');
    assert.equal(error.code, 'ECONNREFUSED');
  });
}

listeningKeepsItsPromises('a socket of Node', undefined);
const lane = nativeLane();
if (lane !== undefined) listeningKeepsItsPromises('a socket of the lane', lane);
