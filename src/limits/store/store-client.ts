/**
 * A connection to Redis or Valkey, as a program may bring one: `ioredis` and `iovalkey` have `call`, `redis` and
 * `@redis/client` have `sendCommand`. It should neither queue commands while it is not connected nor send them again.
 * `isCluster` is what a `Cluster` of ioredis and iovalkey says of itself.
 */
export type StoreClient =
  | { call(command: string, ...args: string[]): Promise<unknown>; readonly isCluster?: boolean | undefined }
  | { sendCommand(args: string[]): Promise<unknown> };

/** A connection to the store that the link uses. Disposing closes it. */
export interface StoreConnection extends AsyncDisposable {
  /** Rejects when the store answers with an error, and when there is no connection. */
  command(args: readonly string[]): Promise<unknown>;
  /** A cluster keeps each slot on one of several servers: a script reaches one slot only. */
  readonly isCluster: boolean;
  /** Makes the connection anew: it has been silent for too long. */
  reconnect(): void;
}

/** The first word of an error of the store is its code (RESP, simple errors); empty for an error that is not of the store. */
export const replyCode = (error: unknown): string =>
  (error instanceof Error ? /^([A-Z][A-Z_]+)(?: |$)/.exec(error.message)?.[1] : undefined) ?? '';

/** Of a client that the program keeps; it reconnects and is closed by the program. */
export function connectionOf(client: StoreClient): StoreConnection {
  return {
    command: ([name = '', ...rest]) =>
      'call' in client ? client.call(name, ...rest) : client.sendCommand([name, ...rest]),
    isCluster: 'call' in client && client.isCluster === true,
    reconnect() {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A connection whose client is loaded first. */
export function lateConnection(kind: string, open: () => Promise<StoreConnection>): StoreConnection {
  const opening = open();
  // Each command tells it.
  opening.catch(() => undefined);
  return {
    command: async (args) => (await opening).command(args),
    isCluster: kind === 'cluster',
    reconnect: () => void opening.then((connection) => connection.reconnect()).catch(() => undefined),
    async [Symbol.asyncDispose]() {
      await (await opening)[Symbol.asyncDispose]();
    },
  };
}
