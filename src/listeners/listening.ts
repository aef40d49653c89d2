import { unlink } from 'node:fs/promises';
import { connect, createServer, isIP, type Server, type Socket } from 'node:net';
import type { Wire } from '../core/source.ts';
import type { Lane, LaneListener } from '../native/lane.ts';
import { adopt } from './adopt.ts';
import type { Listen } from './options.ts';

/** Connections that the kernel keeps for us while the loop is busy; what the system allows by default today. */
const BACKLOG = 4096;
/** An address that cannot be listened on. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly code: string;
  readonly listen: Listen;
  constructor(listen: Listen, cause: NodeJS.ErrnoException) {
    super(`cannot listen on ${describe(listen)}: ${cause.code ?? cause.message}`, { cause });
    this.code = cause.code ?? '';
    this.listen = listen;
  }
}

export const describe = (listen: Listen): string =>
  listen.kind === 'unix'
    ? `unix:${listen.path}`
    : `http://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`;

/** An address that was opened. */
export interface Opened {
  /** As it was asked for: the port may be 0. */
  readonly asked: Listen;
  /** As it is. */
  readonly listen: Listen;
  /** Closes it before it has served anybody. */
  abandon(): void;
}

/** A listening socket, whoever accepts on it. */
export interface ListeningSocket {
  /** As it is: the port may have been 0. */
  readonly listen: Listen;
  /** Accepts, and first those who came already. */
  serve(host: ListeningHost): void;
  /** Accepts no more. */
  close(): void;
}
export interface ListeningHost {
  accepted(wire: Wire, address: string, port: number): void;
  failed(error: Error): void;
}

/** Rejects with a ListenError. Nobody is accepted yet. A unix socket that nobody listens on any more is replaced. */
export async function openListening(
  listen: Listen,
  sharing: 'port' | undefined,
  lane: Lane | undefined,
): Promise<ListeningSocket> {
  // The lane knows addresses, and Node names and unix sockets as well.
  if (lane !== undefined && listen.kind === 'tcp' && isIP(listen.host) !== 0) return onLane(listen, sharing, lane);
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
  try {
    await bind(server, listen, sharing);
  } catch (error) {
    if (!(await isStale(listen))) throw error;
    if (listen.kind === 'unix') await unlink(listen.path);
    await bind(server, listen, sharing);
  }
  return onNode(withRealPort(listen, server), server);
}

function onLane(listen: Listen & { readonly kind: 'tcp' }, sharing: 'port' | undefined, lane: Lane): ListeningSocket {
  const socket = tryTo(listen, () => lane.listen(listen.host, listen.port, BACKLOG, sharing));
  return {
    listen: { ...listen, host: socket.address, port: socket.port },
    serve: (host) => socket.serve(host),
    close: () => socket.close(),
  };
}

function tryTo(listen: Listen, open: () => LaneListener): LaneListener {
  try {
    return open();
  } catch (error) {
    throw new ListenError(listen, error instanceof Error ? error : new Error(String(error)));
  }
}

/** Those who come before anybody is served are kept, so that they hear the rules that are in force then. */
function onNode(listen: Listen, server: Server): ListeningSocket {
  let held: Socket[] | undefined = [];
  let accept = (socket: Socket): void => {
    socket.on('error', () => undefined);
    held?.push(socket);
  };
  let failed: ListeningHost['failed'] = () => undefined;
  server.on('connection', (socket) => accept(socket));
  // Out of descriptors: libuv closes what waits in the backlog and goes on, so there is nothing to spin on.
  server.on('error', (error) => failed(error));
  return {
    listen,
    serve(host) {
      failed = (error) => host.failed(error);
      accept = (socket) => {
        const { remoteAddress, remotePort = 0 } = socket;
        // It has reset already. Without an address no rule about addresses would be about it.
        if (remoteAddress === undefined && listen.kind === 'tcp') return void socket.destroy();
        // A socket for both families shows IPv4 clients as ::ffff:a.b.c.d; rules and logs mean the IPv4.
        host.accepted(adopt(socket), (remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, ''), remotePort);
      };
      const waiting = held ?? [];
      held = undefined;
      for (const socket of waiting) if (!socket.destroyed) accept(socket);
    },
    close() {
      server.close();
      for (const socket of held ?? []) socket.destroy();
    },
  };
}

/** Binds an address by itself and serves nobody: it fails where anybody listens, and finds a free port. */
export async function openProbe(asked: Listen): Promise<Opened> {
  if (asked.kind === 'unix') return { asked, listen: asked, abandon() {} };
  const server = createServer((socket) => socket.destroy());
  await bind(server, asked, undefined);
  return { asked, listen: withRealPort(asked, server), abandon: () => void server.close() };
}

function bind(server: Server, listen: Listen, sharing: 'port' | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error) => reject(new ListenError(listen, cause));
    server.once('error', onError);
    const reusePort = sharing === 'port' && listen.kind === 'tcp';
    const where = listen.kind === 'unix' ? { path: listen.path } : { host: listen.host, port: listen.port, reusePort };
    server.listen({ ...where, backlog: BACKLOG }, () => {
      server.off('error', onError);
      resolve();
    });
  });
}

/** A socket file outlives a process that was killed; then nobody answers on it. */
function isStale(listen: Listen): Promise<boolean> {
  if (listen.kind !== 'unix') return Promise.resolve(false);
  return new Promise((resolve) => {
    const probe = connect(listen.path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}

function withRealPort(listen: Listen, server: Server): Listen {
  const address = server.address();
  if (listen.kind === 'unix' || address === null || typeof address === 'string') return listen;
  return { ...listen, host: address.address, port: address.port };
}
