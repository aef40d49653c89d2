import type { Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer, type Socket } from 'node:net';
import { ListenError } from '../clients/listening.ts';
import type { Listen } from '../clients/options.ts';
import type { AdminConfig } from '../config/admin.ts';
import { listenAlone } from '../net/node-internals.ts';
import type { ListenAddress } from '../policy/listen-addresses.ts';
import { parseIpWithZone } from '../protocol/addresses/ip-address.ts';
import { nodeHttp } from '../util/node-http.ts';

type TcpListen = Extract<Listen, { readonly kind: 'tcp' }>;

/** Connections to one address; dashboards and scrapers need a few. */
const CONNECTIONS_MAX = 256;
const HEAD_BYTES_MAX = 16 * 1024;
const HEAD_MS = 10_000;
const REQUEST_MS = 30_000;
const KEEP_ALIVE_MS = 10_000;
/** Tries for a port that is free in both families. */
const TRIES = 8;

export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/**
 * An address that is ours before there is a server: an HTTP server takes as long to load as all else that a start needs, and an
 * address that another program has is to be known before the proxy serves. Clients wait until `serve`.
 */
export interface ReservedAddress {
  readonly listen: Listen;
  serve(server: Server): void;
  /** Gives the address up, unless it was served. */
  release(): void;
}

/** The addresses of an admin server. */
export type ReservedAdmin = readonly ReservedAddress[];

export function newServer(tls: TlsFiles | undefined): Server {
  const limits = {
    maxHeaderSize: HEAD_BYTES_MAX,
    headersTimeout: HEAD_MS,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  };
  const server = tls === undefined ? nodeHttp().createServer(limits) : createTlsServer({ ...limits, ...tls });
  server.maxConnections = CONNECTIONS_MAX;
  return server;
}

/** Closes a server with all its connections, also those on which TLS has not begun: Node waits two minutes for them. */
export function closerOf(server: Server): () => Promise<void> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
}

/**
 * Takes every address, or none. Rejects with a ListenError; only the default address moves to a free port. `onWaiting`: a client
 * waits.
 */
export async function reserveAdmin(
  config: AdminConfig | undefined,
  onWaiting: () => void = () => undefined,
): Promise<ReservedAdmin> {
  if (config === undefined) return [];
  const wanted = config.listen.filter((one) => one.kind === 'tcp');
  try {
    return await reserveAll(wanted, onWaiting);
  } catch (error) {
    if (!config.mayMove || !(error instanceof ListenError) || error.code !== 'EADDRINUSE') throw error;
    return reserveAll(
      wanted.map((listen) => ({ ...listen, port: 0 })),
      onWaiting,
    );
  }
}

/** Of the two halves of `localhost` one may be missing. */
async function reserveAll(wanted: readonly TcpListen[], onWaiting: () => void): Promise<ReservedAdmin> {
  for (let tries = 1; ; tries++) {
    const reserved: ReservedAddress[] = [];
    try {
      for (const listen of wanted) {
        const isLast = wanted.at(-1) === listen;
        const one = await reserveUnlessMissing(withSharedPort(listen, reserved), onWaiting, reserved, isLast);
        if (one !== undefined) reserved.push(one);
      }
      return reserved;
    } catch (error) {
      for (const one of reserved) one.release();
      // The port that was free in one family is taken in the other.
      const isChance = wanted.every(({ port }) => port === 0) && error instanceof ListenError;
      if (!isChance || error.code !== 'EADDRINUSE' || tries === TRIES) throw error;
    }
  }
}

async function reserveUnlessMissing(
  listen: TcpListen,
  onWaiting: () => void,
  reserved: ReservedAdmin,
  isLast: boolean,
): Promise<ReservedAddress | undefined> {
  try {
    return await reserve(listen, onWaiting);
  } catch (error) {
    const isTaken = error instanceof ListenError && (error.code === 'EADDRINUSE' || error.code === 'EACCES');
    if (!listen.optional || isTaken || (isLast && reserved.length === 0)) throw error;
    return undefined;
  }
}

function reserve(listen: TcpListen, onWaiting: () => void): Promise<ReservedAddress> {
  const waiting = new Set<Socket>();
  // Nothing is read before the server is there.
  const holder = createServer({ pauseOnConnect: true }, (socket) => {
    waiting.add(socket);
    // It may be gone before.
    socket.on('error', () => undefined).on('close', () => waiting.delete(socket));
    onWaiting();
  });
  holder.maxConnections = CONNECTIONS_MAX;
  let isServed = false;
  return new Promise((resolve, reject) => {
    const onError = (cause: Error) => reject(new ListenError(listen, cause));
    holder.once('error', onError);
    holder.once('listening', () => {
      holder.off('error', onError);
      const address = holder.address();
      const isBound = address !== null && typeof address === 'object';
      resolve({
        listen: isBound ? { ...listen, host: address.address, port: address.port } : listen,
        serve(server) {
          isServed = true;
          // Without a descriptor for the next client Node goes on; no person could do anything about it.
          server.on('error', () => undefined);
          // Takes the listening socket over.
          server.listen(holder, () => {
            for (const socket of waiting) {
              server.emit('connection', socket);
              socket.resume();
            }
            waiting.clear();
          });
        },
        release() {
          if (isServed) return;
          holder.close();
          for (const socket of waiting) socket.destroy();
        },
      });
    });
    const { host, port } = listen;
    const family = parseIpWithZone(host)?.family;
    if (family === undefined) holder.listen({ host, port });
    else listenAlone(holder, { host, port, family });
  });
}

/** Both halves of `localhost` take the same port when it is a free one that is asked for. */
function withSharedPort(listen: TcpListen, reserved: ReservedAdmin): TcpListen {
  const other = reserved.find(({ listen: one }) => one.kind === 'tcp' && one.optional)?.listen;
  return listen.optional && listen.port === 0 && other?.kind === 'tcp' ? { ...listen, port: other.port } : listen;
}

/** As the proxy must not connect to them. */
export const addressesOf = (reserved: readonly Pick<ReservedAddress, 'listen'>[]): ListenAddress[] =>
  reserved.flatMap(({ listen }) => (listen.kind === 'tcp' ? [{ address: listen.host, port: listen.port }] : []));
