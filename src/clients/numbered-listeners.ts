import { addressKey, type Listen } from './options.ts';

/**
 * Listeners by their addresses, so that a reload finds them again. Several may be asked for at one address whose port is to
 * be a free one: each has a port of its own, and their order tells them apart.
 */
export function numberedListeners<L>(listeners: Iterable<L>, listenOf: (listener: L) => Listen): Map<string, L> {
  const found = new Map<string, L>();
  for (const listener of listeners) {
    const address = addressKey(listenOf(listener));
    let number = 1;
    while (found.has(`${number} ${address}`)) number += 1;
    found.set(`${number} ${address}`, listener);
  }
  return found;
}
