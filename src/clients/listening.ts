import { unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Wire } from '../contracts/wire.ts';
import { type EpollListener, isUnspecified } from '../net/epoll-listener.ts';
import type { EpollSockets } from '../net/epoll-sockets.ts';
import { parseIpWithZone } from '../protocol/addresses/ip-address.ts';
import { adopt } from './adopt.ts';
import { isListeningOn } from './bound-address.ts';
import type { InheritedSockets } from './inherited-sockets.ts';
import { addressText, type Listen, type SocketListen } from './options.ts';
import { applySocketFileRules, bindPrivately } from './socket-file.ts';

/** Connections that the kernel keeps for us while the loop is busy; what the system allows by default today. */
const BACKLOG = 4096;

/** An address that cannot be listened on. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly code: string;
  readonly listen: Listen;
  constructor(listen: Listen, cause: NodeJS.ErrnoException) {
    super(`cannot listen on ${addressText(listen)}: ${cause.code ?? cause.message}`, { cause });
    this.code = cause.code ?? '';
    this.listen = listen;
  }
}

/** The URL of a listener; that of a Unix socket has no scheme of a protocol. */
export const listenUrl = (listen: Listen): string =>
  listen.kind === 'tcp' ? `${listen.protocol}://${addressText(listen)}` : addressText(listen);

/** An address that was opened. */
export interface BoundAddress {
  /** As it was asked for: the port may be 0. */
  readonly requested: SocketListen;
  /** As it is. */
  readonly listen: SocketListen;
  /** Closes it before it has served a client. */
  abandon(): void;
}

/** A listening socket: Node's, or one of the addon. */
export interface ListeningSocket {
  /** As it is: the port may have been 0. */
  readonly listen: SocketListen;
  /** Accepts, and first the clients that are waiting already. */
  serve(host: ListeningHost): void;
  /** Clients wait in the kernel until `resume`. Node's listeners cannot do that, and go on. */
  pause(): void;
  resume(): void;
  /** Accepts no more. */
  close(): void;
}
export interface ListeningHost {
  /** `localAddress`: which address of this machine it is, where the listener is on all of them. */
  accepted(wire: Wire, address: string, port: number, localAddress: string | undefined): void;
  /** The system has no descriptor or no memory for the next client. Until `resume` there may be no further attempt. */
  failed(error: Error): void;
}

export interface OpenOptions {
  readonly sharing?: 'port' | undefined;
  readonly epollSockets: EpollSockets | undefined;
  /** Absent: the service manager has opened none. */
  readonly inherited?: InheritedSockets | undefined;
}

/** Rejects with a ListenError. No client is accepted yet. A Unix socket whose process is gone is replaced. */
export async function openListening(
  listen: SocketListen,
  { sharing, epollSockets, inherited }: OpenOptions,
): Promise<ListeningSocket> {
  // An address that the service manager has bound for us: the configuration names it as on every other machine.
  const bound =
    listen.kind === 'tcp' ? inherited?.takeWhere((fd) => isListeningOn(fd, listen.host, listen.port)) : undefined;
  if (bound !== undefined) return listenOnDescriptor(listen, bound);
  // isIP() of Node compiles a pattern for IPv6 that takes a twentieth of the time of a start.
  // The sockets of the addon bind addresses only; Node's bind names and Unix sockets as well.
  if (epollSockets !== undefined && listen.kind === 'tcp' && parseIpWithZone(listen.host) !== undefined)
    return listenOnEpoll(listen, sharing, epollSockets);
  if (listen.kind === 'systemd') {
    const taken = inherited?.take(listen.name) ?? { why: 'the service manager has passed no socket (LISTEN_FDS)' };
    if ('why' in taken) throw new ListenError(listen, new Error(taken.why));
    return listenOnDescriptor(listen, taken.fd);
  }
  const server = createServer(ACCEPT);
  try {
    await bind(server, listen, sharing);
  } catch (error) {
    if (!(await isStale(listen))) throw error;
    if (listen.kind === 'unix') await unlink(listen.path);
    await bind(server, listen, sharing);
  }
  if (listen.kind === 'unix') applyRules(server, listen);
  return listenOnNode(asOpened(listen, server), server);
}

function applyRules(server: Server, listen: Listen & { readonly kind: 'unix' }): void {
  try {
    applySocketFileRules(listen.path, listen.settings);
  } catch (error) {
    server.close();
    throw new ListenError(listen, error instanceof Error ? error : new Error(String(error)));
  }
}

const ACCEPT = { allowHalfOpen: true, pauseOnConnect: true, noDelay: true } as const;

/** On a socket that is bound already. */
function listenOnDescriptor(listen: SocketListen, fd: number): Promise<ListeningSocket> {
  const server = createServer(ACCEPT);
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) => reject(new ListenError(listen, cause));
    server.once('error', fail);
    server.listen({ fd, backlog: BACKLOG }, () => {
      server.off('error', fail);
      resolve(listenOnNode(asOpened(listen, server), server));
    });
  });
}

function listenOnEpoll(
  listen: SocketListen & { readonly kind: 'tcp' },
  sharing: 'port' | undefined,
  epollSockets: EpollSockets,
): ListeningSocket {
  const socket = tryTo(listen, () => epollSockets.listen(listen.host, listen.port, BACKLOG, sharing));
  return {
    listen: { ...listen, host: socket.address, port: socket.port },
    serve: (host) => socket.serve(host),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.close(),
  };
}

function tryTo(listen: Listen, open: () => EpollListener): EpollListener {
  try {
    return open();
  } catch (error) {
    throw new ListenError(listen, error instanceof Error ? error : new Error(String(error)));
  }
}

/** Connections that arrive before `serve` are queued, as many as the kernel would keep, and meet the rules of that moment. */
function listenOnNode(listen: SocketListen, server: Server): ListeningSocket {
  let queued: Socket[] | undefined = [];
  let accept = (socket: Socket): void => {
    socket.on('error', () => undefined);
    if (queued !== undefined && queued.length < BACKLOG) queued.push(socket);
    else socket.destroy();
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
        const local = listen.kind === 'tcp' && isUnspecified(listen.host) ? socket.localAddress : undefined;
        // The client has reset already. Without an address no rule about addresses would apply to it.
        if (remoteAddress === undefined && listen.kind === 'tcp') return void socket.destroy();
        // A socket for both families shows IPv4 clients as ::ffff:a.b.c.d; rules and logs mean the IPv4.
        host.accepted(adopt(socket), (remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, ''), remotePort, local);
      };
      const waiting = queued ?? [];
      queued = undefined;
      for (const socket of waiting) if (!socket.destroyed) accept(socket);
    },
    pause() {},
    resume() {},
    close() {
      server.close();
      for (const socket of queued ?? []) socket.destroy();
    },
  };
}

/** Binds an address without sharing it and serves no client: it fails where another process listens, and finds a free port. */
export async function openProbe(requested: SocketListen): Promise<BoundAddress> {
  if (requested.kind !== 'tcp') return { requested, listen: requested, abandon() {} };
  const server = createServer((socket) => socket.destroy());
  await bind(server, requested, undefined);
  return { requested, listen: asOpened(requested, server), abandon: () => void server.close() };
}

function bind(server: Server, listen: SocketListen, sharing: 'port' | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error) => reject(new ListenError(listen, cause));
    server.once('error', onError);
    const reusePort = sharing === 'port' && listen.kind === 'tcp';
    const onListening = () => {
      server.off('error', onError);
      resolve();
    };
    if (listen.kind === 'tcp')
      server.listen({ host: listen.host, port: listen.port, reusePort, backlog: BACKLOG }, onListening);
    else if (listen.kind === 'unix') {
      const { path, settings } = listen;
      bindPrivately(settings, () => server.listen({ path, backlog: BACKLOG }, onListening));
    }
  });
}

/** A socket file outlives a process that was killed; connecting to it is then refused. */
function isStale(listen: SocketListen): Promise<boolean> {
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

/** As it is: with its real port, and a socket of the service manager with the address that it has. */
function asOpened(listen: SocketListen, server: Server): SocketListen {
  const address = server.address();
  // Node knows no path of a Unix socket that it was given.
  if (listen.kind === 'unix' || typeof address !== 'object' || address === null) return listen;
  const { protocol, settings } = listen;
  const { address: host, port } = address;
  return listen.kind === 'tcp'
    ? { ...listen, host, port }
    : { kind: 'tcp', protocol, settings, host, port, optional: false };
}
