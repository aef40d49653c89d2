/** A server of the store. */
export interface StoreServer {
  readonly host: string;
  readonly port: number;
}

/** Where the shared limits are counted: `limits.store`, read. */
export interface StoreAddress {
  /** `sentinel`: the servers know which one is the master of `name`. `cluster`: some servers of it, which know the others. */
  readonly kind: 'single' | 'sentinel' | 'cluster' | 'socket';
  readonly servers: readonly StoreServer[];
  /** Of the master that sentinels watch. */
  readonly name: string | undefined;
  /** Of a server that listens on a socket. */
  readonly path: string | undefined;
  readonly isTls: boolean;
  /** User of an ACL. */
  readonly user: string | undefined;
  readonly db: number;
}

const SCHEMES: Readonly<Record<string, Pick<StoreAddress, 'kind' | 'isTls'>>> = {
  redis: { kind: 'single', isTls: false },
  rediss: { kind: 'single', isTls: true },
  'redis+sentinel': { kind: 'sentinel', isTls: false },
  'rediss+sentinel': { kind: 'sentinel', isTls: true },
  'redis+cluster': { kind: 'cluster', isTls: false },
  'rediss+cluster': { kind: 'cluster', isTls: true },
  'redis+unix': { kind: 'socket', isTls: false },
};
// Valkey speaks the same protocol, and its users write its name.
const spelt = (scheme: string): string => scheme.toLowerCase().replace(/^valkey/, 'redis');

const FORMS =
  'write redis://HOST:PORT, rediss://HOST:PORT (TLS), redis+sentinel://NAME@HOST:PORT,…, redis+cluster://HOST:PORT,… or redis+unix:///PATH';
const PORTS: Readonly<Record<StoreAddress['kind'], number>> = {
  single: 6379,
  cluster: 6379,
  sentinel: 26_379,
  socket: 0,
};

/** Throws an Error whose message is one line, ends with what to write, and repeats nothing that may be a password. */
export function parseStoreAddress(text: string): StoreAddress {
  const match = /^([a-z]+(?:\+[a-z]+)?):\/\/(?:([^/?#]*)@)?([^/?#@]*)(\/[^?#]*)?$/i.exec(text);
  const scheme = SCHEMES[spelt(match?.[1] ?? '')];
  if (match === null || scheme === undefined) throw new Error(`is no address of a store; ${FORMS}`);
  const [, , login, hosts = '', path = ''] = match;
  if (login?.includes(':')) {
    throw new Error(
      'has a password in it; write where the password comes from in limits.storePassword (env:NAME or file:PATH), and leave it out here',
    );
  }
  const given = login === undefined || login === '' ? undefined : decoded(login);
  const none = { name: undefined, path: undefined, user: undefined, db: 0 };
  if (scheme.kind === 'socket') {
    if (hosts !== '' || path.length < 2) throw new Error('names no socket; write redis+unix:///PATH');
    return { ...scheme, ...none, servers: [], path: decoded(path), user: given };
  }
  const servers = hosts.split(',').map((one) => parseServer(one, PORTS[scheme.kind]));
  if (scheme.kind === 'single' && servers.length > 1) {
    throw new Error('names several servers; write redis+sentinel://NAME@HOST:PORT,… or redis+cluster://HOST:PORT,…');
  }
  if (scheme.kind === 'sentinel' && given === undefined) {
    throw new Error('does not say which master; write redis+sentinel://NAME@HOST:PORT,…');
  }
  const db = parseDb(path);
  if (scheme.kind === 'cluster' && db !== 0)
    throw new Error('names a database, and a cluster has one only; leave it out');
  const isNamed = scheme.kind === 'sentinel';
  return { ...scheme, ...none, servers, name: isNamed ? given : undefined, user: isNamed ? undefined : given, db };
}

/** For messages: without user and database. */
export const placeOfStore = ({ kind, servers, path }: StoreAddress): string =>
  kind === 'socket'
    ? (path ?? '')
    : servers.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',');

function parseServer(text: string, defaultPort: number): StoreServer {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::(\d{1,5}))?$/i.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? defaultPort);
  if (host === undefined || port < 1 || port > 65_535) throw new Error(`has a server that is no HOST:PORT; ${FORMS}`);
  return { host, port };
}

function parseDb(path: string): number {
  if (path === '' || path === '/') return 0;
  if (!/^\/\d{1,4}$/.test(path))
    throw new Error('ends with something that is no number of a database; write /0 or leave it out');
  return Number(path.slice(1));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error('has a % that encodes nothing; write %25 for it');
  }
}
