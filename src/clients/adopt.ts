import { Socket } from 'node:net';
import type { Wire } from '../contracts/wire.ts';
import { takeHandle } from '../net/node-internals.ts';
import { SocketWire, StreamWire } from '../net/node-wire.ts';

/**
 * The accepted socket as a wire. `onread` buffers save a third of the CPU of bulk data, but Node takes them only when a
 * socket is made, and makes accepted sockets itself. So a second socket is made around the handle of the first; where there
 * is no handle to take (net/node-internals.ts), the socket is read through its `data` events.
 */
export function adopt(accepted: Socket): Wire {
  const handle = takeHandle(accepted);
  if (handle === undefined) return new StreamWire(accepted);
  const wire = new SocketWire();
  // `handle` is an option of the constructor, but its type there knows only sockets that are not connected yet.
  const socket: Socket = Reflect.construct(Socket, [
    { handle, allowHalfOpen: true, onread: wire.onread, manualStart: true },
  ]);
  return wire.attach(socket);
}
