import { readFileSync } from 'node:fs';
import { ProxyError } from '../contracts/failure.ts';
import type { ClientFilter } from '../contracts/identity.ts';
import type { ClientInfo } from '../contracts/request.ts';
import { type IpAddress, parseIpWithZone, withoutMapping } from '../protocol/addresses/ip-address.ts';
import { classify } from '../protocol/addresses/ip-class.ts';
import { interactiveUsers } from './interactive-users.ts';

const RULE = 'clients.sameUser';

/** The kernel's tables of TCP sockets (proc(5)). */
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'] as const;

/**
 * A reading serves the connections that were waiting at that moment: with thousands of sockets it takes 20 ms, and a browser
 * opens twenty connections at once. Short, since another user could take over the port of a client that has left.
 */
const FRESH_MS = 10;

/** Where the kernel tells whose a socket is. */
export const canTellUsers = (platform: NodeJS.Platform): boolean => platform === 'linux';

/** What decides it where `clients.sameUser` is left out. */
export interface SameUserFacts {
  readonly sameUser: boolean | undefined;
  /** Whether the configuration names accounts at upstream proxies. */
  readonly hasAccounts: boolean;
}

export function isSameUserInForce({ sameUser, hasAccounts }: SameUserFacts): boolean {
  if (sameUser !== undefined) return sameUser;
  return hasAccounts && canTellUsers(process.platform) && interactiveUsers(readOrEmpty('/etc/passwd')) > 1;
}

/**
 * Refuses clients on loopback whose socket belongs to another user, `root` included. `read` gives the kernel's table of sockets.
 * To be asked when a connection is accepted: a socket that its client has closed has no owner.
 */
export const sameUserFilter = (
  uid: number | undefined = process.getuid?.(),
  read: (path: string) => string = readOrEmpty,
): ClientFilter => {
  const sockets = new KernelSockets(read);
  return { refusal: (client) => refusalOf(client, uid, sockets) };
};

function refusalOf(client: ClientInfo, uid: number | undefined, sockets: KernelSockets): ProxyError | undefined {
  const parsed = parseIpWithZone(client.address);
  const address = parsed && withoutMapping(parsed);
  if (address === undefined || classify(address) !== 'loopback') return undefined;
  const owner = sockets.ownerOf(address, client);
  if (owner !== undefined && owner === uid) return undefined;
  const whose = owner === undefined ? 'of an unknown user' : `of the user with the number ${owner}`;
  return new ProxyError('denied', `rule ${RULE}: the client is a process ${whose}`, {
    clientDetail: `The rule is called "${RULE}".`,
  });
}

/** Asks one filter, then the other. */
export const bothFilters = (
  one: ClientFilter | undefined,
  other: ClientFilter | undefined,
): ClientFilter | undefined =>
  one === undefined || other === undefined
    ? (one ?? other)
    : { refusal: (client) => one.refusal(client) ?? other.refusal(client) };

/** The kernel's tables of sockets, as they were a moment ago. */
class KernelSockets {
  readonly #read: (path: string) => string;
  #tables: readonly string[] = [];
  #readAtMs = Number.NEGATIVE_INFINITY;
  /** Ends of connections that were asked about since: one that is accepted again is another connection. */
  readonly #asked = new Set<string>();

  constructor(read: (path: string) => string) {
    this.#read = read;
  }

  /** The client's end of the connection: its own address is ours of the other end. */
  ownerOf(address: IpAddress, { port, listener }: ClientInfo): number | undefined {
    const listenerPort = Number(/:(\d+)$/.exec(listener)?.[1]);
    // A socket for both families has an IPv4 address in the form that is mapped into IPv6.
    const own = kernelAddress(address);
    const ends = [own, `0000000000000000FFFF0000${own}`].map((text) => `${text}:${hex(port, 4)}`);
    const to = `:${hex(listenerPort, 4)}`;
    const key = `${own}:${port}${to}`;
    const isFresh = performance.now() - this.#readAtMs < FRESH_MS && !this.#asked.has(key);
    const owner = isFresh ? this.#find(ends, to) : undefined;
    if (owner === undefined) this.#readAll();
    this.#asked.add(key);
    return owner ?? this.#find(ends, to);
  }

  #readAll(): void {
    this.#tables = TABLES.map(this.#read);
    this.#readAtMs = performance.now();
    this.#asked.clear();
  }

  #find(ends: readonly string[], to: string): number | undefined {
    for (const table of this.#tables) {
      for (const end of ends) {
        const uid = uidIn(table, end, to);
        if (uid !== undefined) return uid;
      }
    }
    return undefined;
  }
}

/** A busy machine has thousands of lines, and each new connection waits for this: only those with the address are looked at. */
function uidIn(table: string, from: string, to: string): number | undefined {
  for (let at = table.indexOf(` ${from} `); at >= 0; at = table.indexOf(` ${from} `, at + 1)) {
    const [, remote = '', , , , , uid] = table.slice(at, table.indexOf('\n', at)).trim().split(/\s+/);
    if (remote.endsWith(to)) return Number(uid);
  }
  return undefined;
}

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');

/** As the kernel prints it: each 32 bits in the order of this machine's bytes, which is the least significant first. */
function kernelAddress({ octets }: IpAddress): string {
  const bytes = Buffer.from(octets);
  const words: string[] = [];
  for (let at = 0; at < bytes.length; at += 4) words.push(hex(bytes.readUInt32LE(at), 8));
  return words.join('');
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
