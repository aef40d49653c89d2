import type { AddressGuard } from '../contracts/policy.ts';
import type { Allow, Deny } from '../contracts/stages.ts';
import { type Cidr, CidrMap, knownCidr, parseIpWithZone, withoutMapping } from '../protocol/addresses/ip-address.ts';
import { classesOf } from '../protocol/addresses/ip-class.ts';
import { effectiveAddresses } from '../protocol/addresses/ip-embedded.ts';
import type { Sliced } from '../util/slices.ts';
import type { ListenAddresses } from './listen-addresses.ts';
import { type Exposure, GUARD_WORDS, type GuardOptions } from './options.ts';

/**
 * What a guard denies by default. While only users of this machine reach the proxy, nothing: they could dial every address
 * themselves. Clients on other machines must not reach the inner network through it.
 */
export const guardDefaults = (exposure: Exposure): GuardOptions => ({ deny: DENIED[exposure], allow: [] });

/** A container may reach what this machine reaches, but not the machine itself, whose services trust loopback. */
const DENIED: Readonly<Record<Exposure, readonly string[]>> = {
  local: [],
  bridge: ['loopback', 'link-local', 'metadata'],
  exposed: GUARD_WORDS,
};

const ALLOWED: Allow = { verdict: 'allow', rule: 'guard' };
const CONFIGURED: Allow = { verdict: 'allow', rule: 'configured proxy' };
const denied = (reason: string): Deny => ({ verdict: 'deny', rule: `guard: ${reason}`, code: 'address_prohibited' });
/** Denied in every configuration: a request that comes back to this proxy would be forwarded for ever. */
const LOOP: Deny = { verdict: 'deny', rule: 'own listener', code: 'loop_detected' };

/**
 * Checks the address that is about to be dialled. The listeners of this proxy are never dialled, not even with `allow`;
 * otherwise `allow` precedes `deny`. Options as `guardSchema` has checked them, with the defaults of `guardDefaults`.
 */
export function* buildAddressGuard(
  options: GuardOptions,
  exposure: Exposure,
  addresses: ListenAddresses,
): Sliced<AddressGuard> {
  const defaults = guardDefaults(exposure);
  const deny = options.deny ?? defaults.deny ?? [];
  const deniesThisMachine = exposure === 'bridge' && options.deny === undefined;
  const words = new Set(deny);
  const deniesNothing = deny.length === 0;
  const blocks = new CidrMap<string>();
  for (const text of deny) {
    yield;
    if (!GUARD_WORDS.some((word) => word === text)) blocks.add(knownCidr(text), text);
  }
  const exemptions = new CidrMap<Exemption>();
  for (const text of options.allow ?? defaults.allow ?? []) {
    yield;
    const exemption = parseExemption(text);
    exemptions.add(exemption.block, exemption);
  }

  return {
    check(text, port) {
      const parsed = parseIpWithZone(text);
      // Where it leads is unknown.
      if (!parsed) return denied('not an address');
      const address = withoutMapping(parsed);
      if (addresses.include(address, port)) return LOOP;
      // An exception holds for the address itself, not for one embedded in it: a translator may lead elsewhere.
      const exemption = exemptions.find(address).find((one) => one.port === undefined || one.port === port);
      if (exemption) return { verdict: 'allow', rule: `guard.allow ${exemption.text}` };
      if (deniesNothing) return ALLOWED;
      const inside = effectiveAddresses(address);
      if (deniesThisMachine && [address, ...inside].some((one) => addresses.isThisMachine(one))) {
        return denied('this machine');
      }
      const word = inside.flatMap(classesOf).find((name) => words.has(name));
      const reason = word ?? [address, ...inside].flatMap((one) => blocks.find(one)).at(-1);
      return reason === undefined ? ALLOWED : denied(reason);
    },
    checkConfigured(text, port) {
      const parsed = parseIpWithZone(text);
      if (!parsed) return denied('not an address');
      return addresses.include(withoutMapping(parsed), port) ? LOOP : CONFIGURED;
    },
  };
}

interface Exemption {
  readonly text: string;
  readonly block: Cidr;
  /** Absent: every port. */
  readonly port: number | undefined;
}

/** `10.0.0.0/8`, `127.0.0.1:8080`, `[::1]:80`, `[fd00::/8]:443`. */
function parseExemption(text: string): Exemption {
  const [, six, four = '', port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d+)$/.exec(text) ?? [];
  return port === undefined
    ? { text, block: knownCidr(text), port: undefined }
    : { text, block: knownCidr(six ?? four), port: Number(port) };
}
