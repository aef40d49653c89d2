import { networkInterfaces } from 'node:os';
import { ProxyError } from '../contracts/failure.ts';
import type { ClientInfo } from '../contracts/request.ts';
import { CidrSet, knownCidr, parseIpWithZone } from '../protocol/addresses/ip-address.ts';
import type { BridgeKind, Listen, SocketListen } from './options.ts';

/** An address of this machine on a bridge, and the subnet of those that may reach it there. */
export interface Bridge {
  /** Name of the interface. */
  readonly name: string;
  readonly address: string;
  /** `172.17.0.0/16` is written as `172.17.0.1/16`: the address with its prefix. */
  readonly cidr: string;
}

/** Docker names its own networks `br-` and the first 12 digits of their id; Podman counts. */
const NAMES: Readonly<Record<BridgeKind, RegExp>> = {
  docker: /^(?:docker\d+|br-[0-9a-f]{12})$/,
  podman: /^(?:podman\d+|cni-podman\d+)$/,
  wsl: /^vEthernet \((?:WSL|Default Switch)/,
};

/** The bridges of a kind that this machine has now, IPv4 before IPv6. */
export function bridgesOf(
  kind: BridgeKind,
  interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces(),
): Bridge[] {
  const found = Object.entries(interfaces).flatMap(([name, addresses = []]) =>
    NAMES[kind].test(name)
      ? addresses.flatMap(({ address, cidr, family }) => {
          // A link-local address is bound with the interface that it is valid on, which no client can write into a URL.
          const isLinkLocal = address.startsWith('fe80:') || address.startsWith('169.254.');
          return cidr === null || isLinkLocal ? [] : [{ name, address, cidr, family }];
        })
      : [],
  );
  const ordered = [
    ...found.filter(({ family }) => family === 'IPv4'),
    ...found.filter(({ family }) => family !== 'IPv4'),
  ];
  return ordered.map(({ name, address, cidr }) => ({ name, address, cidr }));
}

/**
 * The sockets of listeners: for a bridge one on each address that this machine has there now. Those are optional: a bridge
 * may go while it is opened.
 */
export const socketsOf = (
  wanted: readonly Listen[],
  bridges: (kind: BridgeKind) => readonly Bridge[] = bridgesOf,
): readonly SocketListen[] =>
  wanted.flatMap((listen): SocketListen[] => {
    if (listen.kind !== 'bridge') return [listen];
    const { protocol, port, settings } = listen;
    const own = settings === undefined ? {} : { settings };
    return bridges(listen.bridge).map(({ address, cidr }) => {
      return { kind: 'tcp', protocol, ...own, host: address, port, optional: false, subnet: cidr };
    });
  });

/** Refuses clients that are not on the bridge: Linux accepts packets to the address of a bridge from every other network. */
export function refusalByBridge(listen: SocketListen): (client: ClientInfo) => ProxyError | undefined {
  if (listen.kind !== 'tcp' || listen.subnet === undefined) return () => undefined;
  const subnet = new CidrSet();
  subnet.add(knownCidr(listen.subnet));
  return ({ address }) => {
    const parsed = parseIpWithZone(address);
    if (parsed !== undefined && subnet.has(parsed)) return undefined;
    return new ProxyError('denied', `the client is not in ${listen.subnet}, the subnet of this listener`, {
      clientDetail: 'This listener is for containers alone.',
    });
  };
}
