import { Socket } from 'node:net';
import type { Wire } from '../core/source.ts';
import { SocketWire, StreamWire } from '../core/wire.ts';

/**
 * The accepted socket as a wire. `onread` buffers save a third of the CPU of bulk data, but Node takes them only when a
 * socket is made, and makes accepted sockets itself. So a second socket is made around the handle of the first. That
 * handle is not public: where it is missing or is not what we know, the socket is read through its `data` events.
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

function takeHandle(accepted: Socket): object | undefined {
  const handle: unknown = Reflect.get(accepted, '_handle');
  if (typeof handle !== 'object' || handle === null || !('useUserBuffer' in handle)) return undefined;
  Reflect.set(accepted, '_handle', null);
  // Without its handle the first socket closes nothing; its server only learns that it is gone.
  accepted.destroy();
  return handle;
}
