import type { Clock } from '../util/clock.ts';
import { type NetworkSnapshot, networkSnapshot } from './network-snapshot.ts';

/** Often enough that a user who plugs in a cable does not wait, and 0.02 % of a core. */
const POLL_INTERVAL_MS = 1_000;
/** While a network comes up: interface, address, route and name servers follow one another. */
const UNSETTLED_INTERVAL_MS = 250;
/** This long without another change, and the network has settled. */
const QUIET_MS = 500;
/** A network that does not settle (a link that flaps) is reported after this long all the same. */
const SETTLE_MS_MAX = 3_000;
/** When a timer is late by more wall time than this, the machine slept. On a busy machine it is late by less. */
const SLEPT_MS = 10_000;

/**
 * What has changed. `wake`: the machine slept, and may be in another network. `settings`: the user, a VPN or the administrator
 * wants other proxies; what was learned before does not hold for them.
 */
export type NetworkPart = keyof NetworkSnapshot | 'wake';

export interface NetworkWatch extends Disposable {
  /** Counts the networks that this machine has been in, from 0. */
  readonly generation: number;
  /** Calls back once for each new network, when it has settled. */
  onChange(listener: (changed: readonly NetworkPart[]) => void): Disposable;
}

export interface NetworkWatchOptions {
  readonly clock: Clock;
  /** Reads the state of the network. Must be cheap and start no process: it is called every second. */
  readonly snapshot?: () => NetworkSnapshot | undefined;
}

export const networkWatch = (options: NetworkWatchOptions): NetworkWatch => new PollingWatch(options);

/** Changes that have been seen and not yet been reported. */
interface PendingChange {
  readonly parts: Set<NetworkPart>;
  readonly sinceMs: number;
  lastMs: number;
}

class PollingWatch implements NetworkWatch {
  generation = 0;
  readonly #clock: Clock;
  readonly #snapshot: () => NetworkSnapshot | undefined;
  readonly #listeners = new Set<(changed: readonly NetworkPart[]) => void>();
  #seen: NetworkSnapshot | undefined;
  #pending: PendingChange | undefined;
  #next: Disposable;

  constructor({ clock, snapshot = networkSnapshot }: NetworkWatchOptions) {
    this.#clock = clock;
    this.#snapshot = snapshot;
    this.#seen = snapshot();
    this.#next = this.#schedule(POLL_INTERVAL_MS);
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

  #schedule(delayMs: number): Disposable {
    const [now, wall] = [this.#clock.now(), this.#clock.wallMs()];
    return this.#clock.after(delayMs, () => {
      // The monotonic clock stops while Linux and macOS sleep, and goes on while Windows does.
      const elapsedMs = Math.max(this.#clock.now() - now, this.#clock.wallMs() - wall);
      this.#compare(elapsedMs - delayMs > SLEPT_MS ? ['wake'] : []);
      this.#next = this.#schedule(this.#pending === undefined ? POLL_INTERVAL_MS : UNSETTLED_INTERVAL_MS);
      this.#notifyIfSettled();
    });
  }

  #compare(known: readonly NetworkPart[]): void {
    const [seen, snapshot] = [this.#seen, this.#snapshot()];
    const changed = [...known];
    if (seen !== undefined && snapshot !== undefined)
      changed.push(...PARTS.filter((part) => seen[part] !== undefined && snapshot[part] !== seen[part]));
    this.#seen = snapshot ?? seen;
    if (changed.length === 0) return;
    const now = this.#clock.now();
    this.#pending ??= { parts: new Set(), sinceMs: now, lastMs: now };
    this.#pending.lastMs = now;
    for (const part of changed) this.#pending.parts.add(part);
  }

  #notifyIfSettled(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    const now = this.#clock.now();
    if (now - pending.lastMs < QUIET_MS && now - pending.sinceMs < SETTLE_MS_MAX) return;
    this.#pending = undefined;
    this.generation += 1;
    for (const listener of [...this.#listeners]) listener([...pending.parts]);
  }
}

const PARTS = ['addresses', 'routes', 'resolver', 'settings'] as const satisfies readonly (keyof NetworkSnapshot)[];
