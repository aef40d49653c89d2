import type { Clock } from '../core/clock.ts';
import type { Authenticator } from '../core/contracts.ts';
import { basicAuthenticator } from './basic.ts';
import { authenticatorChain } from './chain.ts';
import { remembering } from './remembering.ts';
import { fromAddresses } from './source-address.ts';
import { type Users, verifyUsers } from './users.ts';
import { WorkQueue } from './work-queue.ts';

export interface Clients {
  /** Blocks of addresses that may use the proxy; `undefined` for all. */
  readonly allow: readonly string[] | undefined;
  /** Who must authenticate; `undefined` when nobody has to. */
  readonly users: Users | undefined;
  /** Further ways to say who one is, tried after `users`. */
  readonly others: readonly Authenticator[];
}

/** The `clients` section as one authenticator: first where from, then who. */
export function clientAuthenticator({ allow, users, others }: Clients, clock: Clock): Authenticator {
  const basic = users ? [basicAuthenticator(remembering(verifyUsers(users, new WorkQueue()), clock))] : [];
  const chain = authenticatorChain([...basic, ...others]);
  return allow ? fromAddresses(allow, chain) : chain;
}
