import type { Clock } from '../core/clock.ts';
import { type NetworkSight, networkSight } from './sight.ts';

/** Often enough that somebody who plugs in a cable does not wait, and 0.02 % of a core. */
const LOOK_EVERY_MS = 1_000;
/** While a network comes up: interface, address, route and name servers follow one another. */
const LOOK_SOON_MS = 250;
/** This long without another change, and the network has settled. */
const QUIET_MS = 500;
/** A network that never settles (a link that flaps) is told of all the same. */
const SETTLE_MS_MAX = 3_000;
/** Wall time that went by beyond what was planned: the machine slept. A busy one is late by less. */
const SLEPT_MS = 10_000;

/** What became different. `wake`: the machine slept, and nothing is known of what went on meanwhile. */
export type NetworkPart = keyof NetworkSight | 'wake';

export interface NetworkWatch extends Disposable {
  /** Counts the networks that this machine has been in, from 0. */
  readonly generation: number;
  /** Called once for each new network, when it has settled. */
  onChange(listener: (changed: readonly NetworkPart[]) => void): Disposable;
}

export interface NetworkWatchOptions {
  readonly clock: Clock;
  /** Looks at the network. Must be cheap and start no process: it is called every second. */
  readonly look?: () => NetworkSight | undefined;
}

export const networkWatch = (options: NetworkWatchOptions): NetworkWatch => new PollingWatch(options);

/** Changes that have been seen and not yet been told of. */
interface Unrest {
  readonly parts: Set<NetworkPart>;
  readonly sinceMs: number;
  lastMs: number;
}

class PollingWatch implements NetworkWatch {
  generation = 0;
  readonly #clock: Clock;
  readonly #look: () => NetworkSight | undefined;
  readonly #listeners = new Set<(changed: readonly NetworkPart[]) => void>();
  #seen: NetworkSight | undefined;
  #unrest: Unrest | undefined;
  #next: Disposable;

  constructor({ clock, look = networkSight }: NetworkWatchOptions) {
    this.#clock = clock;
    this.#look = look;
    this.#seen = look();
    this.#next = this.#plan(LOOK_EVERY_MS);
  }

  onChange(listener: (changed: readonly NetworkPart[]) => void): Disposable {
    const once = (changed: readonly NetworkPart[]) => listener(changed);
    this.#listeners.add(once);
    return { [Symbol.dispose]: () => void this.#listeners.delete(once) };
  }

  [Symbol.dispose](): void {
    this.#next[Symbol.dispose]();
    this.#listeners.clear();
  }

  #plan(delayMs: number): Disposable {
    const [now, wall] = [this.#clock.now(), this.#clock.wallMs()];
    return this.#clock.after(delayMs, () => {
      // The monotonic clock stands still while Linux and macOS sleep, and goes on while Windows does.
      const wentMs = Math.max(this.#clock.now() - now, this.#clock.wallMs() - wall);
      this.#compare(wentMs - delayMs > SLEPT_MS ? ['wake'] : []);
      this.#next = this.#plan(this.#unrest === undefined ? LOOK_EVERY_MS : LOOK_SOON_MS);
      this.#tellIfSettled();
    });
  }

  #compare(known: readonly NetworkPart[]): void {
    const [seen, sight] = [this.#seen, this.#look()];
    const changed = [...known];
    if (seen !== undefined && sight !== undefined) changed.push(...PARTS.filter((part) => sight[part] !== seen[part]));
    this.#seen = sight ?? seen;
    if (changed.length === 0) return;
    const now = this.#clock.now();
    this.#unrest ??= { parts: new Set(), sinceMs: now, lastMs: now };
    this.#unrest.lastMs = now;
    for (const part of changed) this.#unrest.parts.add(part);
  }

  #tellIfSettled(): void {
    const unrest = this.#unrest;
    if (unrest === undefined) return;
    const now = this.#clock.now();
    if (now - unrest.lastMs < QUIET_MS && now - unrest.sinceMs < SETTLE_MS_MAX) return;
    this.#unrest = undefined;
    this.generation += 1;
    for (const listener of [...this.#listeners]) listener([...unrest.parts]);
  }
}

const PARTS = ['addresses', 'routes', 'resolver'] as const satisfies readonly (keyof NetworkSight)[];
