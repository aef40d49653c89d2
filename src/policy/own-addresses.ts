import { hostname, networkInterfaces } from 'node:os';
import type { Clock } from '../core/clock.ts';
import { formatIp, type IpAddress, parseIpWithZone, withoutMapping } from '../protocol/ip-address.ts';
import { classify } from '../protocol/ip-class.ts';
import { judgedAs } from '../protocol/ip-embedded.ts';

/** Where this proxy itself listens. */
export interface OwnAddresses {
  include(address: IpAddress, port: number): boolean;
  /** Whether a client that was told this host would come to this machine, as far as is known without asking DNS. */
  isThisMachine(host: string): boolean;
}
export interface OwnListener {
  /** As the socket says it; empty for what has none. */
  readonly address: string;
  readonly port: number;
}

/**
 * How long the addresses of this machine are believed. They are looked up only when a wildcard listener has the very
 * port that is about to be dialled, so this bounds the cost of a flood of such requests and little else.
 */
const INTERFACES_KEPT_MS = 1000;

/**
 * `listeners` is asked every time, since listeners come and go; `interfaces` for the addresses of this machine.
 * A wildcard listener is at every one of them, all of 127.0.0.0/8 included.
 */
export function ownAddresses(
  listeners: () => readonly OwnListener[],
  clock: Clock,
  interfaces: () => readonly string[] = machineAddresses,
): OwnAddresses {
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
    isThisMachine(host) {
      const address = parseIpWithZone(host);
      if (address !== undefined) return classify(address) === 'loopback' || isOfThisMachine(keyOf(host));
      const name = hostname().toLowerCase();
      return (
        host === 'localhost' || host === name || host.startsWith(`${name}.`) || host === name.replace(/\..*$/s, '')
      );
    },
    include(address, port) {
      const mine = listeners().filter((listener) => listener.port === port);
      if (mine.length === 0) return false;
      const listening = new Set(mine.map((listener) => keyOf(listener.address)));
      const onWildcard = [...listening].some(isUnspecified);
      // A translator on the way (NAT64, 6to4) may lead the packet back to us, and a loop is as endless through it.
      return [withoutMapping(address), ...judgedAs(address)].some((one) => {
        const key = formatIp(one);
        // Dialling the unspecified address reaches loopback on Linux, and what it reaches elsewhere is no better.
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

/** None while the process has no descriptor left to ask with; nothing can be dialled then either. */
function machineAddresses(): string[] {
  try {
    return Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address));
  } catch {
    return [];
  }
}
