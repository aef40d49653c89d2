import { ProxyError } from '../contracts/failure.ts';
import type { ClientFilter } from '../contracts/identity.ts';
import type { ClientInfo } from '../contracts/request.ts';
import type { TcpEnd } from '../net/peer-uid.ts';
import { parseIpWithZone, withoutMapping } from '../protocol/addresses/ip-address.ts';
import { classify } from '../protocol/addresses/ip-class.ts';
import { interactiveUsers } from './interactive-users.ts';
import { openSocketOwners } from './socket-owners/open-socket-owners.ts';
import { readOrEmpty } from './socket-owners/proc-table.ts';
import type { SocketOwners } from './socket-owners/socket-owners.ts';

const RULE = 'clients.sameUser';

/** What decides it where `clients.sameUser` is left out. */
export interface SameUserFacts {
  readonly sameUser: boolean | undefined;
  /** Whether the configuration names accounts at upstream proxies. */
  readonly hasAccounts: boolean;
}

/**
 * On Windows only where it is asked for: services log in as other users, and Windows itself uses the proxy where `setup winhttp`
 * was run.
 */
export function isSameUserInForce({ sameUser, hasAccounts }: SameUserFacts): boolean {
  if (sameUser !== undefined) return sameUser;
  return hasAccounts && process.platform === 'linux' && interactiveUsers(readOrEmpty('/etc/passwd')) > 1;
}

/** Why `clients.sameUser` cannot be in force here; `undefined`: it can. */
export function sameUserProblem(): string | undefined {
  const owners = openSocketOwners();
  return 'unavailable' in owners ? owners.unavailable : undefined;
}

/**
 * Refuses programs of this machine whose socket belongs to another user, `root` included. To be asked when a connection is accepted:
 * a socket that its client has closed has no owner.
 */
export function sameUserFilter(
  owners: SocketOwners | { readonly unavailable: string } = openSocketOwners(),
): ClientFilter {
  return { refusal: (client) => refusalOf(client, 'unavailable' in owners ? undefined : owners) };
}

function refusalOf(client: ClientInfo, owners: SocketOwners | undefined): ProxyError | undefined {
  const from = endOf(client.address, client.port);
  const to = listenerEnd(client);
  if (from === undefined || !isOnLoopback(client, from, to)) return undefined;
  const owner = to && owners?.ownerOf(from, to);
  if (owner !== undefined && owner === owners?.self) return undefined;
  const whose = owner === undefined ? 'of an unknown user' : `of the user ${owner}`;
  return new ProxyError('denied', `rule ${RULE}: the client is a process ${whose}`, {
    clientDetail: `The rule is called "${RULE}".`,
  });
}

/**
 * A program of this machine may bind any address of the machine before it connects to loopback, so that one end is not enough. What a
 * PROXY header names is no end of this connection.
 */
const isOnLoopback = ({ isNamedByHeader }: ClientInfo, from: TcpEnd, to: TcpEnd | undefined): boolean =>
  isLoopback(from) || (to !== undefined && isLoopback(to) && isNamedByHeader === undefined);

const isLoopback = ({ address }: TcpEnd): boolean => classify(address) === 'loopback';

function endOf(text: string, port: number): TcpEnd | undefined {
  const parsed = parseIpWithZone(text);
  return parsed && { address: withoutMapping(parsed), port };
}

/** Our end of the connection. A listener on all addresses of this machine says which one the client has connected to. */
function listenerEnd({ listener, localAddress }: ClientInfo): TcpEnd | undefined {
  const [, six, four = '', port] = /^[a-z0-9]+:\/\/(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(listener) ?? [];
  return endOf(localAddress ?? six ?? four, Number(port));
}

/** Asks one filter, then the other. */
export const bothFilters = (
  one: ClientFilter | undefined,
  other: ClientFilter | undefined,
): ClientFilter | undefined =>
  one === undefined || other === undefined
    ? (one ?? other)
    : { refusal: (client) => one.refusal(client) ?? other.refusal(client) };
