import type { Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { ListenError } from '../clients/listening.ts';
import type { Listen } from '../clients/options.ts';
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

/** An HTTP server on one address. */
export interface Opened {
  readonly server: Server;
  readonly listen: Listen;
}

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

/** Opens every address, or none. Rejects with a ListenError. Of the two halves of `localhost` one may be missing. */
export async function openAll(wanted: readonly TcpListen[], tls: TlsFiles | undefined): Promise<Opened[]> {
  for (let tries = 1; ; tries++) {
    const opened: Opened[] = [];
    try {
      for (const listen of wanted) {
        const one = await openUnlessMissing(withSharedPort(listen, opened), tls, opened, wanted.at(-1) === listen);
        if (one !== undefined) opened.push(one);
      }
      return opened;
    } catch (error) {
      for (const { server } of opened) server.close();
      // The port that was free in one family is taken in the other.
      const isChance = wanted.every(({ port }) => port === 0) && error instanceof ListenError;
      if (!isChance || error.code !== 'EADDRINUSE' || tries === TRIES) throw error;
    }
  }
}

/** As `openAll` at this port, or at a free one where a program has it already. */
export async function openNear(wanted: readonly TcpListen[], tls: TlsFiles | undefined): Promise<Opened[]> {
  try {
    return await openAll(wanted, tls);
  } catch (error) {
    if (!(error instanceof ListenError) || error.code !== 'EADDRINUSE') throw error;
    return openAll(
      wanted.map((listen) => ({ ...listen, port: 0 })),
      tls,
    );
  }
}

async function openUnlessMissing(
  listen: TcpListen,
  tls: TlsFiles | undefined,
  opened: readonly Opened[],
  isLast: boolean,
): Promise<Opened | undefined> {
  try {
    return await open(listen, tls);
  } catch (error) {
    const isTaken = error instanceof ListenError && (error.code === 'EADDRINUSE' || error.code === 'EACCES');
    if (!listen.optional || isTaken || (isLast && opened.length === 0)) throw error;
    return undefined;
  }
}

function open(listen: TcpListen, tls: TlsFiles | undefined): Promise<Opened> {
  const server = newServer(tls);
  return new Promise((resolve, reject) => {
    const onError = (cause: Error) => reject(new ListenError(listen, cause));
    server.once('error', onError);
    server.listen({ host: listen.host, port: listen.port }, () => {
      server.off('error', onError);
      // Without a descriptor for the next client Node goes on; no person could do anything about it.
      server.on('error', () => undefined);
      const address = server.address();
      const isBound = address !== null && typeof address === 'object';
      resolve({ server, listen: isBound ? { ...listen, host: address.address, port: address.port } : listen });
    });
  });
}

/** Both halves of `localhost` take the same port when it is a free one that is asked for. */
function withSharedPort(listen: TcpListen, opened: readonly Opened[]): TcpListen {
  const other = opened.find(({ listen: one }) => one.kind === 'tcp' && one.optional)?.listen;
  return listen.optional && listen.port === 0 && other?.kind === 'tcp' ? { ...listen, port: other.port } : listen;
}
