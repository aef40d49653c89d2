import { machineAddresses } from '../net/interface-addresses.ts';
import { formatIp, type IpAddress, parseIpWithZone, withoutMapping } from '../protocol/addresses/ip-address.ts';
import { classify } from '../protocol/addresses/ip-class.ts';
import { effectiveAddresses } from '../protocol/addresses/ip-embedded.ts';
import type { Clock } from '../util/clock.ts';

/** The addresses on which this proxy listens. */
export interface ListenAddresses {
  include(address: IpAddress, port: number): boolean;
  /** Whether it is an address of this machine. */
  isThisMachine(address: IpAddress): boolean;
}
export interface ListenAddress {
  /** As the socket reports it; empty for a Unix socket. */
  readonly address: string;
  readonly port: number;
}

/**
 * How long the addresses of this machine are cached. They are looked up only when a wildcard listener has the same port
 * as the address that is about to be dialled, so this bounds the cost of a flood of such requests and little else.
 */
const INTERFACES_KEPT_MS = 1000;

/**
 * `listeners` is called each time, since listeners come and go; `interfaces` returns the addresses of this machine.
 * A wildcard listener listens on all of them, and on all of 127.0.0.0/8.
 */
export function listenAddresses(
  listeners: () => readonly ListenAddress[],
  clock: Clock,
  interfaces: () => readonly string[] = addressesOrNone,
): ListenAddresses {
  let known: ReadonlySet<string> = new Set();
  let knownUntilMs = Number.NEGATIVE_INFINITY;
  const isOfThisMachine = (key: string): boolean => {
    if (clock.now() >= knownUntilMs) {
      known = new Set(interfaces().map(keyOf));
      knownUntilMs = clock.now() + INTERFACES_KEPT_MS;
    }
    return known.has(key);
  };
  return {
    isThisMachine: (address) => classify(address) === 'loopback' || isOfThisMachine(formatIp(withoutMapping(address))),
    include(address, port) {
      const mine = listeners().filter((listener) => listener.port === port);
      if (mine.length === 0) return false;
      const listening = new Set(mine.map((listener) => keyOf(listener.address)));
      const onWildcard = [...listening].some(isUnspecified);
      // A translator on the route (NAT64, 6to4) may send the packets back here: that would be an endless loop too.
      return [withoutMapping(address), ...effectiveAddresses(address)].some((one) => {
        const key = formatIp(one);
        // Dialling the unspecified address reaches loopback on Linux; elsewhere it is of no use either.
        if (isUnspecified(key) || listening.has(key)) return true;
        return onWildcard && (classify(one) === 'loopback' || isOfThisMachine(key));
      });
    },
  };
}

const isUnspecified = (key: string): boolean => key === '0.0.0.0' || key === '::';

function keyOf(text: string): string {
  const address = parseIpWithZone(text);
  return address ? formatIp(withoutMapping(address)) : text;
}

/** Empty while the process has no descriptor left for the query; then it cannot dial either. */
function addressesOrNone(): readonly string[] {
  try {
    return machineAddresses();
  } catch {
    return [];
  }
}
