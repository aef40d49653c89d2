import type { Authenticator, ClientFilter } from '../contracts/identity.ts';
import { basicAuthenticator } from './basic.ts';
import { withCertificates } from './certificate.ts';
import { authenticatorChain } from './chain.ts';
import { digestAuthenticator, digestRealm } from './digest.ts';
import type { DigestNonces } from './digest-nonces.ts';
import type { Logins } from './logins.ts';
import { type NegotiateDeps, negotiateAuthenticator } from './negotiate.ts';
import { withAddressFilter } from './source-address.ts';
import type { Users } from './users.ts';

export interface Clients {
  /** Addresses of clients that may use the proxy; `undefined`: all. */
  readonly filter: ClientFilter | undefined;
  /** Users that clients authenticate as; `undefined`: clients do not have to. */
  readonly users: Users | undefined;
  /** Asks for Kerberos where a listener does. `undefined`: none does. */
  readonly negotiate: Omit<NegotiateDeps, 'inner'> | undefined;
  /** Further authenticators, tried after `users`. */
  readonly others: readonly Authenticator[];
}

/** What outlives a reload: which passwords were right, and which nonces were used. */
export interface LoginMemory {
  readonly logins: Logins;
  readonly nonces: DigestNonces;
}

/** The `clients` section as one authenticator: it checks first the address of the client, then its credentials. */
export function clientAuthenticator({ filter, users, negotiate, others }: Clients, memory: LoginMemory): Authenticator {
  const inner = authenticatorChain([...(users ? [usersAuthenticator(users, memory)] : []), ...others]);
  const chain = withCertificates(negotiate === undefined ? inner : negotiateAuthenticator({ ...negotiate, inner }));
  return filter ? withAddressFilter(filter, chain) : chain;
}

/** Basic; and Digest before it where there are users who can. */
function usersAuthenticator(users: Users, { logins, nonces }: LoginMemory): Authenticator {
  const passwords = basicAuthenticator(logins.verifier(users));
  const realm = digestRealm(users);
  return realm === undefined ? passwords : digestAuthenticator({ users, realm, nonces, logins, passwords });
}
