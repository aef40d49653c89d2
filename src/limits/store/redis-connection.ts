import type { Cluster, CommonRedisOptions, Redis } from 'ioredis';
import type { Secret } from '../../contracts/secret.ts';
import type { StoreAddress } from '../../settings/store-address.ts';
import { replyCode, type StoreConnection } from './store-client.ts';

/** A server that does not accept a connection by then is away. */
const CONNECT_MS_MAX = 1_000;
/** Between two tries to connect; a little less or more, or all instances would come at once. */
const RECONNECT_MS = 250;
const JITTER = 0.2;

export interface RedisConnectionOptions {
  readonly address: StoreAddress;
  readonly password: Secret | undefined;
  /** PEM of the authorities that TLS trusts. */
  readonly ca: readonly string[] | undefined;
}

const retryMs = (): number => RECONNECT_MS * (1 + JITTER * (2 * Math.random() - 1));

/** Resolves when the client is ready, or when its first attempt to connect has failed: it goes on by itself. */
function firstAttempt(client: Redis | Cluster): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      clearTimeout(timer);
      for (const name of EVENTS) client.off(name, settle);
      resolve();
    };
    for (const name of EVENTS) client.on(name, settle);
    // A cluster or sentinels may each take as long to say nothing.
    const timer = setTimeout(settle, 2 * CONNECT_MS_MAX).unref();
  });
}
const EVENTS = ['ready', 'error', 'close', 'end'] as const;

/** Connects to a store of the configuration. The client is loaded here, so that only a proxy with a store pays for it. */
export async function connectStore(options: RedisConnectionOptions): Promise<StoreConnection> {
  // The bundle of the command knows the default export only.
  const { default: Client } = await import('ioredis');
  const { address, password, ca } = options;
  const common = {
    ...(address.user !== undefined && { username: address.user }),
    ...(password !== undefined && { password: password.reveal() }),
    ...(address.isTls && { tls: ca === undefined ? {} : { ca: [...ca] } }),
    connectTimeout: CONNECT_MS_MAX,
    connectionName: 'viaduct',
    // What is late is of no use: the limits have gone on without it.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: retryMs,
    // After a fail-over the old master is a replica.
    reconnectOnError: (error: Error) => replyCode(error) === 'READONLY',
  } satisfies CommonRedisOptions & { tls?: object };
  const client = open();
  // Of the connection: a command that finds none only knows that. Without a listener it would end the process.
  let lastError: Error | undefined;
  client.on('error', (error: Error) => {
    lastError = error;
  });
  client.on('ready', () => {
    lastError = undefined;
  });
  await firstAttempt(client);
  return {
    async command([name = '', ...args]) {
      try {
        return await client.call(name, ...args);
      } catch (error) {
        throw client.status === 'ready' ? error : (lastError ?? error);
      }
    },
    isCluster: address.kind === 'cluster',
    reconnect: () => client.disconnect(true),
    [Symbol.asyncDispose]: () => {
      client.disconnect();
      return Promise.resolve();
    },
  };

  function open(): Redis | Cluster {
    const [first] = address.servers;
    switch (address.kind) {
      case 'cluster':
        return new Client.Cluster([...address.servers], {
          redisOptions: common,
          enableOfflineQueue: false,
          clusterRetryStrategy: retryMs,
          slotsRefreshTimeout: CONNECT_MS_MAX,
        });
      case 'sentinel':
        return new Client.Redis({
          ...common,
          db: address.db,
          sentinels: [...address.servers],
          name: address.name ?? '',
          sentinelRetryStrategy: retryMs,
          ...(address.isTls && { enableTLSForSentinelMode: true, sentinelTLS: common.tls }),
        });
      case 'socket':
        return new Client.Redis({ ...common, db: address.db, path: address.path ?? '' });
      case 'single':
        return new Client.Redis({ ...common, db: address.db, host: first?.host ?? '', port: first?.port ?? 0 });
    }
  }
}
