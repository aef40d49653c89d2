/**
 * The only uses of private fields of Node: `_handle` of a socket, the object of libuv's below it; `_parent` of a TLS socket,
 * what it was made around; `_readableState` of a stream; `_listen2` of a server. No public function gives
 * the descriptor of a socket, or makes a socket with `onread` from an accepted one. Each function here checks what it finds,
 * and returns `undefined` where a Node has hidden or changed the field; the caller then does without.
 */
import type { Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

/**
 * The descriptor under a socket, for the relay's thread and for socket options that Node does not have. `undefined`: the
 * socket is closed, or Node hides it; the relay in TypeScript moves the bytes, and the kernel's usual times hold.
 */
export function descriptorOf(socket: Socket): number | undefined {
  const fd: unknown = ofHandle(socket, 'fd');
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

/**
 * The handle of an accepted socket, which has none from then on and is destroyed. `undefined`: nothing has happened, and
 * the socket is to be read through its `data` events.
 */
export function takeHandle(accepted: Socket): object | undefined {
  // Without this function the handle cannot read into the buffers of `onread`.
  if (ofHandle(accepted, 'useUserBuffer') === undefined) return undefined;
  const handle: unknown = Reflect.get(accepted, '_handle');
  if (typeof handle !== 'object' || handle === null) return undefined;
  Reflect.set(accepted, '_handle', null);
  // Without its handle the socket closes nothing; its server only learns that it is gone.
  accepted.destroy();
  return handle;
}

function ofHandle(socket: Socket, property: string): unknown {
  const handle: unknown = Reflect.get(socket, '_handle');
  return typeof handle === 'object' && handle !== null ? Reflect.get(handle, property) : undefined;
}

/** The socket below a TLS socket that node:tls has made; `undefined`: Node hides it. */
export function transportOf(socket: TLSSocket): unknown {
  return Reflect.get(socket, '_parent') ?? undefined;
}

/** Whether the end of what the peer sends is here, be it unread yet. Node forgets it when the stream is reset behind it. */
export function hasEndArrived(stream: Duplex): boolean {
  const state: unknown = Reflect.get(stream, '_readableState');
  return typeof state === 'object' && state !== null && Reflect.get(state, 'ended') === true;
}

/**
 * As `listen` of the server with an address: that loads node:cluster, node:child_process and node:dgram first, which takes as
 * long as a tenth of a start, to find that this process is no worker of Node's. Where Node has hidden or changed the function,
 * its `listen` is called.
 */
export function listenAlone(server: Server, { host, port, family }: BoundAddress): void {
  const listen: unknown = Reflect.get(server, '_listen2');
  // One with other parameters might listen elsewhere.
  if (typeof listen !== 'function' || listen.length !== LISTEN_PARAMETERS) server.listen({ host, port });
  // What Node's own `listen` passes: backlog, descriptor and flags are those of `listen({ host, port })`.
  else listen.call(server, host, port, family, BACKLOG, undefined, undefined);
}

interface BoundAddress {
  readonly host: string;
  readonly port: number;
  readonly family: 4 | 6;
}

/** Node's own. */
const BACKLOG = 511;
/** Address, port, family, backlog, descriptor and flags. */
const LISTEN_PARAMETERS = 6;
