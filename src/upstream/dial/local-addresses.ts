import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';

/** The local addresses of a list from which `target` can be reached: of its family, and those of interfaces as they are now. */
export function localAddresses(from: readonly string[], target: string): readonly string[] {
  const family = isIP(target);
  return from
    .flatMap((one) => (isIP(one) === 0 ? (networkInterfaces()[one] ?? []).map(({ address }) => address) : [one]))
    .filter((address) => isIP(address) === family && !isLinkLocal(address));
}

/** It leads nowhere without a scope. */
const isLinkLocal = (address: string): boolean => /^fe[89ab]/i.test(address);

/** Takes the addresses of lists in turns. */
export class LocalAddresses {
  #turn = 0;

  /** `undefined`: the list has none for that target. */
  next(from: readonly string[], target: string): string | undefined {
    const addresses = localAddresses(from, target);
    if (addresses.length === 0) return undefined;
    this.#turn = (this.#turn + 1) % Number.MAX_SAFE_INTEGER;
    return addresses[this.#turn % addresses.length];
  }
}
