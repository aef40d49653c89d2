import type { Duplex } from 'node:stream';
import { ProxyError } from '../contracts/failure.ts';
import type { Connection } from '../contracts/stages.ts';
import { StreamWire } from '../net/node-wire.ts';
import { type AtPeersEnd, LocalSocket } from './local-socket.ts';

/** Detaches the stream of a connection; it emits the early data first, and an end that came already. */
export async function streamOf(connection: Connection, atPeersEnd: AtPeersEnd): Promise<Duplex> {
  const { wire, early } = connection;
  if (!(wire instanceof StreamWire)) {
    connection[Symbol.dispose]();
    throw new ProxyError('internal', 'the connection is not a stream');
  }
  const stream = await wire.takeStream();
  // The end of a target that ends at once was emitted without a listener, and data cannot be put in front of it.
  if (stream.readableEnded) return replay(stream, early, atPeersEnd);
  stream.allowHalfOpen = atPeersEnd === 'half-open';
  if (early.length > 0) stream.unshift(early);
  return stream;
}

/** A stream that emits `early` and then the end, and writes to `stream`. */
function replay(stream: Duplex, early: Buffer, atPeersEnd: AtPeersEnd): Duplex {
  const [near, far] = LocalSocket.pair(undefined, atPeersEnd);
  stream.on('error', (error) => far.destroy(error)).on('close', () => far.destroy());
  far.on('error', () => stream.destroy()).on('close', () => stream.destroy());
  if (stream.destroyed) far.destroy();
  far.end(early);
  far.pipe(stream);
  return near;
}
