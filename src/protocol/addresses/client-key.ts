import { formatIp, type IpAddress, parseIpWithZone, withoutMapping } from './ip-address.ts';

/** Groups of an IPv6 address that a subscriber is assigned; the other four are chosen by its hosts. */
const NETWORK_GROUPS = 4;

/**
 * The key of a client where clients are counted or limited: an IPv4 address, or the /64 of an IPv6 address, since a host
 * may have any number of addresses in its /64 (RFC 8981) and a subscriber is hardly ever assigned less. `address` without
 * IPv4 mapping.
 */
export function clientKey(address: IpAddress): string {
  if (address.family === 4) return formatIp(address);
  return `${formatIp({ family: 6, octets: address.octets.map((octet, at) => (at < 8 ? octet : 0)) })}/64`;
}

/**
 * The same of an address as the operating system writes it (RFC 5952). Clients on unix sockets have no address, and share
 * one key.
 */
export function clientKeyOf(text: string): string {
  // Most are IPv4 and stay unchanged.
  if (!text.includes(':')) return text;
  const network = leadingGroups(text);
  if (network !== undefined) return `${network}::/64`;
  const parsed = parseIpWithZone(text);
  return parsed === undefined ? text : clientKey(withoutMapping(parsed));
}

/** The first four groups where all of them are written out, as in most addresses: parsing costs microseconds. */
function leadingGroups(address: string): string | undefined {
  let from = 0;
  for (let group = 0; group < NETWORK_GROUPS; group++) {
    const colon = address.indexOf(':', from);
    if (colon <= from) return undefined;
    from = colon + 1;
  }
  let network = address.slice(0, from - 1);
  // The `::` behind them stands for these zeros too (RFC 5952 §4.2.1).
  while (network.endsWith(':0')) network = network.slice(0, -2);
  return network;
}
