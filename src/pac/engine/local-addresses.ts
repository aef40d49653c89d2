import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { parseIpWithZone } from '../../protocol/addresses/ip-address.ts';

/** The key of the fact about this machine's addresses; every other key is a name. */
export const LOCAL_ADDRESSES = '';

export interface LocalAddresses {
  /** The result of `myIpAddress()`; `undefined` on a machine without a network. */
  readonly first: string | undefined;
  readonly all: readonly string[];
}

type Probe = readonly [kind: 'udp4' | 'udp6', to: string];

/**
 * Destinations whose routes are looked up, as in Chromium: first on the Internet, then in private networks, to which a
 * machine without a default route may still have one.
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

/** This machine's addresses, first those that its traffic is sent from. Never rejects, and sends no packet. */
export async function localAddresses(): Promise<LocalAddresses> {
  for (const probes of PROBES) {
    const found = (await Promise.all(probes.map(sourceAddress))).filter(isUsable);
    if (found.length > 0) return listed(found);
  }
  const all = Object.values(networkInterfaces()).flat();
  return listed(all.flatMap((one) => (one === undefined || one.internal ? [] : [one.address])).filter(isUsable));
}

const listed = (found: readonly string[]): LocalAddresses => ({ first: found[0], all: [...new Set(found)] });

/** The source address that the kernel chooses when a UDP socket is connected; no packet is sent. */
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

/** Loopback, link-local and unspecified addresses are not usable: none says where in the network this machine is. */
function isUsable(address: string | undefined): address is string {
  const octets = address === undefined ? undefined : parseIpWithZone(address)?.octets;
  if (octets === undefined) return false;
  const [first = 0, second = 0] = octets;
  if (octets.length === 4) return first !== 0 && first !== 127 && !(first === 169 && second === 254);
  return !(first === 0xfe && (second & 0xc0) === 0x80) && octets.slice(0, 15).some((octet) => octet !== 0);
}
