import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { loadAddon } from '../native/addon.ts';
import { CidrSet, formatIp, knownCidr, parseIp } from '../protocol/addresses/ip-address.ts';

/** An address of this machine, and the interface that has it. */
export interface InterfaceAddress {
  /** Name of the interface. */
  readonly name: string;
  readonly address: string;
  /** The address with the length of its prefix: `172.17.0.1/16`. */
  readonly cidr: string;
}

/** What is asked for the addresses: the system through the addon; without it through Node, and files of Linux. */
export interface AddressSources {
  /** Empty without the addon. */
  all(): readonly InterfaceAddress[];
  interfaces(): ReturnType<typeof networkInterfaces>;
  /** Text of a file below /proc/net; empty where there is none. */
  read(name: string): string;
}

const SYSTEM: AddressSources = { all: addressesByAddon, interfaces: networkInterfaces, read: readProcNet };

/**
 * The addresses of the interfaces whose names match. Node leaves out interfaces without a carrier, and a bridge has none before its
 * first container runs and after its last one has ended; its addresses are valid all the same. Without the addon Linux has them in
 * /proc/net, behind all routes: with 10,000 of those that takes 50 ms.
 */
export function addressesOf(names: RegExp, { all, interfaces, read }: AddressSources = SYSTEM): InterfaceAddress[] {
  const everywhere = all();
  if (everywhere.length > 0) return everywhere.filter(({ name }) => names.test(name));
  const byNode = Object.entries(interfaces()).flatMap(([name, addresses = []]) =>
    addresses.flatMap(({ address, cidr }) => (cidr === null ? [] : [{ name, address, cidr }])),
  );
  // A subnet of the office may lie within that of a bridge; its interface is known.
  const known = new Set(byNode.map(({ address }) => address));
  const further = [...fourIn(read, names), ...sixIn(read('if_inet6'), names)];
  return [...byNode.filter(({ name }) => names.test(name)), ...further.filter(({ address }) => !known.has(address))];
}

/** All addresses of this machine, those without a carrier included. */
export function machineAddresses({ all, interfaces, read }: AddressSources = SYSTEM): string[] {
  const everywhere = all();
  if (everywhere.length > 0) return [...new Set(everywhere.map(({ address }) => address))];
  const known = Object.values(interfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address));
  const six = Array.from(sixIn(read('if_inet6'), /(?:)/), ({ address }) => address);
  return [...new Set([...known, ...localFour(read('fib_trie')), ...six])];
}

/** Flags of a route (route(8)): it is up; it leads to a gateway. */
const RTF_UP = 1;
const RTF_GATEWAY = 2;
const HEX = 16;

/** A subnet that is reached on an interface, from /proc/net/route; the address in it that is local is ours. */
function* fourIn(read: AddressSources['read'], names: RegExp): Iterable<InterfaceAddress> {
  const subnets = read('route')
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [name = '', destination = '', , flags = '', , , , mask = ''] = line.split(/\s+/);
      const isOnLink = (Number.parseInt(flags, HEX) & (RTF_UP | RTF_GATEWAY)) === RTF_UP;
      const prefix = Number.parseInt(mask, HEX).toString(2).replaceAll('0', '').length;
      return isOnLink && names.test(name) ? [{ name, network: dotted(destination), prefix }] : [];
    });
  if (subnets.length === 0) return;
  const local = localFour(read('fib_trie'));
  for (const { name, network, prefix } of subnets) {
    const subnet = new CidrSet();
    subnet.add(knownCidr(`${network}/${prefix}`));
    for (const address of local) {
      const parsed = parseIp(address);
      if (parsed !== undefined && subnet.has(parsed)) yield { name, address, cidr: `${address}/${prefix}` };
    }
  }
}

/** The addresses that the routing table calls local to this machine. */
const localFour = (trie: string): readonly string[] => [
  ...new Set(Array.from(trie.matchAll(/\|-- ([\d.]+)\n\s+\/32 host LOCAL/g), ([, address = '']) => address)),
];

/** The kernel prints 32 bits in the order of this machine's bytes, which is the least significant first. */
function dotted(hex: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(Number.parseInt(hex, HEX) >>> 0);
  return bytes.join('.');
}

function* sixIn(table: string, names: RegExp): Iterable<InterfaceAddress> {
  for (const line of table.split('\n')) {
    const [digits = '', , prefix = '', , , name = ''] = line.trim().split(/\s+/);
    const parsed = names.test(name) ? parseIp(digits.replace(/(.{4})(?=.)/g, '$1:')) : undefined;
    if (parsed === undefined || name === '') continue;
    const address = formatIp(parsed);
    yield { name, address, cidr: `${address}/${Number.parseInt(prefix, HEX)}` };
  }
}

function addressesByAddon(): readonly InterfaceAddress[] {
  const found = loadAddon().addon?.interfaceAddresses() ?? [];
  return found.map(([name, address, prefix]) => ({ name, address, cidr: `${address}/${prefix}` }));
}

function readProcNet(name: string): string {
  if (process.platform !== 'linux') return '';
  try {
    return readFileSync(`/proc/net/${name}`, 'latin1');
  } catch {
    return '';
  }
}
