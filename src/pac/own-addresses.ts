import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { parseIpWithZone } from '../protocol/ip-address.ts';

/** The key of the fact about this machine's own addresses; every other key is a name. */
export const OWN_ADDRESSES = '';

export interface OwnAddresses {
  /** What scripts call `myIpAddress()`; `undefined` on a machine without a network. */
  readonly first: string | undefined;
  readonly all: readonly string[];
}

type Probe = readonly [kind: 'udp4' | 'udp6', to: string];

/**
 * Addresses whose routes are looked up, as Chromium does: far away first, then in the private networks, where a machine
 * without a way out may still have one.
 */
const PROBES: readonly (readonly Probe[])[] = [
  [
    ['udp4', '8.8.8.8'],
    ['udp6', '2001:4860:4860::8888'],
  ],
  [
    ['udp4', '10.0.0.0'],
    ['udp4', '172.16.0.0'],
    ['udp4', '192.168.0.0'],
    ['udp6', 'fc00::'],
  ],
];

/** This machine's own addresses, those first that its traffic would come from. Never rejects, and sends nothing. */
export async function ownAddresses(): Promise<OwnAddresses> {
  for (const probes of PROBES) {
    const found = (await Promise.all(probes.map(sourceAddress))).filter(isUsable);
    if (found.length > 0) return listed(found);
  }
  const all = Object.values(networkInterfaces()).flat();
  return listed(all.flatMap((one) => (one === undefined || one.internal ? [] : [one.address])).filter(isUsable));
}

const listed = (found: readonly string[]): OwnAddresses => ({ first: found[0], all: [...new Set(found)] });

/** The address that the kernel would send from: it chooses one when a UDP socket is connected, and sends nothing. */
function sourceAddress([kind, to]: Probe): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(kind);
    const finish = (address: string | undefined): void => {
      socket.close();
      resolve(address);
    };
    socket.once('error', () => finish(undefined));
    socket.once('connect', () => finish(socket.address().address));
    socket.connect(53, to);
  });
}

/** Not loopback, not link-local, not nothing: none of them says where this machine is. */
function isUsable(address: string | undefined): address is string {
  const octets = address === undefined ? undefined : parseIpWithZone(address)?.octets;
  if (octets === undefined) return false;
  const [first = 0, second = 0] = octets;
  if (octets.length === 4) return first !== 0 && first !== 127 && !(first === 169 && second === 254);
  return !(first === 0xfe && (second & 0xc0) === 0x80) && octets.slice(0, 15).some((octet) => octet !== 0);
}
