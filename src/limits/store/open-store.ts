import { readFileSync } from 'node:fs';
import type { Observe } from '../../contracts/event.ts';
import { secretOf } from '../../files/secret-of-origin.ts';
import { placeOfStore } from '../../settings/store-address.ts';
import type { Clock } from '../../util/clock.ts';
import type { LimitsOptions } from '../options.ts';
import { connectionOf, lateConnection, type StoreClient } from './store-client.ts';
import { StoreLimits } from './store-limits.ts';

export interface StoreDeps {
  readonly clock: Clock;
  readonly observe: Observe;
  /** Where the password of `env:NAME` is. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Of a program, in place of `limits.store`. */
  readonly client?: StoreClient | undefined;
}

/** The store that the limits are shared through; `undefined`: there is none. Throws when its password cannot be read. */
export function openStore(
  options: LimitsOptions,
  { client, environment, ...deps }: StoreDeps,
): StoreLimits | undefined {
  const { store: address, storePassword, storeCa, storePrefix: prefix, onStoreDown } = options;
  const common = { ...deps, prefix, onStoreDown };
  if (client !== undefined) {
    return new StoreLimits({ ...common, connection: connectionOf(client), place: 'the client of the program' });
  }
  if (address === undefined) return undefined;
  const password = storePassword && secretOf(storePassword, environment);
  const ca = storeCa === undefined ? undefined : [readFileSync(storeCa, 'utf8')];
  const connection = lateConnection(address.kind, () =>
    import('./redis-connection.ts').then(({ connectStore }) => connectStore({ address, password, ca })),
  );
  return new StoreLimits({ ...common, connection, place: placeOfStore(address) });
}
