import { ProxyError } from '../contracts/failure.ts';
import type { ClientInfo } from '../contracts/request.ts';
import { addressesOf, type InterfaceAddress } from '../net/interface-addresses.ts';
import { CidrSet, knownCidr, parseIpWithZone } from '../protocol/addresses/ip-address.ts';
import type { BridgeKind, Listen, SocketListen } from './options.ts';

/** Docker names its own networks `br-` and the first 12 digits of their id; Podman counts. */
const NAMES: Readonly<Record<BridgeKind, RegExp>> = {
  docker: /^(?:docker\d+|br-[0-9a-f]{12})$/,
  podman: /^(?:podman\d+|cni-podman\d+)$/,
  wsl: /^vEthernet \((?:WSL|Default Switch)/,
};

/** The addresses of this machine on bridges of a kind, IPv4 before IPv6; their subnets are those that may reach them. */
export function bridgesOf(
  kind: BridgeKind,
  find: (names: RegExp) => readonly InterfaceAddress[] = addressesOf,
): InterfaceAddress[] {
  // A link-local address is bound with the interface that it is valid on, which no client can write into a URL.
  const found = find(NAMES[kind]).filter(({ address }) => !/^(?:fe80:|169\.254\.)/.test(address));
  const isSix = ({ address }: InterfaceAddress): boolean => address.includes(':');
  return [...found.filter((one) => !isSix(one)), ...found.filter(isSix)];
}

/** A line for each kind of bridge that is to be listened on and is not there. */
export const missingBridges = (wanted: readonly Listen[]): string[] =>
  wanted.flatMap((listen) =>
    listen.kind === 'bridge' && bridgesOf(listen.bridge).length === 0
      ? [`there is no bridge of ${listen.bridge} now; it is listened on when there is one`]
      : [],
  );

export const isOnBridge = (listen: SocketListen): boolean => listen.kind === 'tcp' && listen.subnet !== undefined;

/**
 * The sockets of listeners: for a bridge one on each address that this machine has there now. Those are optional: a bridge
 * may go while it is opened, and an address of IPv6 is tentative at first, on a bridge without a carrier until its first container
 * runs, and cannot be bound then (RFC 4862 section 5.4).
 */
export const socketsOf = (
  wanted: readonly Listen[],
  bridges: (kind: BridgeKind) => readonly InterfaceAddress[] = bridgesOf,
): readonly SocketListen[] =>
  wanted.flatMap((listen): SocketListen[] => {
    if (listen.kind !== 'bridge') return [listen];
    const { protocol, port, settings } = listen;
    const own = settings === undefined ? {} : { settings };
    return bridges(listen.bridge).map(({ address, cidr }) => {
      return { kind: 'tcp', protocol, ...own, host: address, port, optional: true, subnet: cidr };
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
