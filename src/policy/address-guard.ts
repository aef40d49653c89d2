import type { AddressGuard } from '../core/contracts.ts';
import type { Allow, Deny } from '../core/stages.ts';
import { type Cidr, CidrMap, knownCidr, parseIpWithZone, withoutMapping } from '../protocol/ip-address.ts';
import { classesOf } from '../protocol/ip-class.ts';
import { judgedAs } from '../protocol/ip-embedded.ts';
import { type Exposure, GUARD_WORDS, type GuardOptions } from './options.ts';
import type { OwnAddresses } from './own-addresses.ts';

/**
 * What a guard denies when the configuration does not say. While only this machine's own users reach the proxy, they
 * could dial every address themselves; others must not get a door to the inner network.
 */
export function guardDefaults(exposure: Exposure): GuardOptions {
  return { deny: exposure === 'exposed' ? GUARD_WORDS : [], allow: [] };
}

const ALLOWED: Allow = { verdict: 'allow', rule: 'guard' };
const CONFIGURED: Allow = { verdict: 'allow', rule: 'configured proxy' };
const denied = (reason: string): Deny => ({ verdict: 'deny', rule: `guard: ${reason}`, code: 'address_prohibited' });
/** Denied in whatever configuration: a request that comes back to us would be sent on for ever. */
const LOOP: Deny = { verdict: 'deny', rule: 'own listener', code: 'loop' };

/**
 * Judges the address that is about to be dialled. Our own listeners are never dialled, and `allow` does not except
 * them; otherwise `allow` goes before `deny`. Options as `guardSchema` has checked them; `guardDefaults` fills in.
 */
export function addressGuard(options: GuardOptions, exposure: Exposure, own: OwnAddresses): AddressGuard {
  const defaults = guardDefaults(exposure);
  const deny = options.deny ?? defaults.deny ?? [];
  const words = new Set(deny);
  const deniesNothing = deny.length === 0;
  const blocks = new CidrMap<string>();
  for (const text of deny) if (!GUARD_WORDS.some((word) => word === text)) blocks.add(knownCidr(text), text);
  const exemptions = new CidrMap<Exemption>();
  for (const text of options.allow ?? defaults.allow ?? []) {
    const exemption = parseExemption(text);
    exemptions.add(exemption.block, exemption);
  }

  return {
    check(text, port) {
      const parsed = parseIpWithZone(text);
      // Nobody can say where this leads.
      if (!parsed) return denied('not an address');
      const address = withoutMapping(parsed);
      if (own.include(address, port)) return LOOP;
      // An exception is for the address that is written there, not for one inside: a translator may lead elsewhere.
      const exemption = exemptions.find(address).find((one) => one.port === undefined || one.port === port);
      if (exemption) return { verdict: 'allow', rule: `guard.allow ${exemption.text}` };
      if (deniesNothing) return ALLOWED;
      const inside = judgedAs(address);
      const word = inside.flatMap(classesOf).find((name) => words.has(name));
      const reason = word ?? [address, ...inside].flatMap((one) => blocks.find(one)).at(-1);
      return reason === undefined ? ALLOWED : denied(reason);
    },
    checkConfigured(text, port) {
      const parsed = parseIpWithZone(text);
      if (!parsed) return denied('not an address');
      return own.include(withoutMapping(parsed), port) ? LOOP : CONFIGURED;
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
