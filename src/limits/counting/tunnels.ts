import type { ProxyError } from '../../contracts/failure.ts';
import type { Clock } from '../../util/clock.ts';
import { NO_SLOT, type SlotItem, SlotList } from '../../util/slot-list.ts';
import type { StopSignal } from '../../util/stop.ts';
import type { TunnelState } from '../limit-state.ts';
import type { TunnelOptions } from '../options.ts';
import { refusalError } from '../refusal.ts';
import { keyOf, type Subject } from '../subject.ts';

/** One client may hold this part of the queue, so that it cannot have all other clients refused. */
export const QUEUE_SHARE = 4;

export type Scope = 'total' | 'client' | 'user';
export const SCOPES: readonly Scope[] = ['total', 'client', 'user'];

interface Waiter {
  readonly subject: Subject;
  readonly admit: () => void;
}

const isLimited = (options: TunnelOptions): boolean => SCOPES.some((scope) => options[scope] !== undefined);
const nameOf = (scope: Scope): string => `tunnels ${scope}`;
export const keyIn = (scope: Scope, subject: Subject): string => keyOf(scope === 'total' ? 'proxy' : scope, subject);
/** The key that waiting requests are counted by. */
const waitKey = (subject: Subject): string => `wait ${subject.client}`;

/** How many tunnels may be open at once, and the requests that wait until one closes: first come first served, but a
 * request that waits for a limit of its own client or user does not hold up the others. */
export class TunnelLimits {
  readonly #clock: Clock;
  readonly #slots = new SlotList<TunnelSlot>();
  /** Open tunnels by scope and key, while there is a limit; counts of 0 are not kept, so never more entries than tunnels. */
  readonly #open: Readonly<Record<Scope, Map<string, number>>> = {
    total: new Map(),
    client: new Map(),
    user: new Map(),
  };
  readonly #waiters = new Set<Waiter>();
  readonly #waitersByClient = new Map<string, number>();
  readonly #refused: Record<Scope, number> = { total: 0, client: 0, user: 0 };
  #options: TunnelOptions;
  /** Without a limit no count is needed. */
  #isCounting: boolean;

  constructor(clock: Clock, options: TunnelOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#isCounting = isLimited(options);
  }

  names(): string[] {
    return SCOPES.filter((scope) => this.#options[scope] !== undefined).map(nameOf);
  }

  /** Open tunnels that this process counts in one scope. */
  openOf(scope: Scope, key: string): number {
    return this.#open[scope].get(key) ?? 0;
  }

  /** All keys with open tunnels in the scopes that have a limit. */
  *openKeys(): Iterable<{ readonly scope: Scope; readonly key: string }> {
    for (const scope of SCOPES) {
      if (this.#options[scope] === undefined) continue;
      for (const key of this.#open[scope].keys()) yield { scope, key };
    }
  }

  /** A larger limit admits requests that wait; a smaller one closes no tunnel that is open. */
  update(options: TunnelOptions): void {
    this.#options = options;
    this.#isCounting = isLimited(options);
    for (const scope of SCOPES) this.#open[scope].clear();
    for (const { subject } of this.#slots) this.#count(subject, 1);
    this.#admitNext();
  }

  /** Opens one tunnel; disposing closes it. Throws or rejects with `at_capacity` or `too_many_tunnels`. */
  acquire(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable> {
    const full = this.#fullScope(subject);
    if (full === undefined) return this.#openSlot(subject);
    const { wait, queue } = this.#options;
    const ofClient = this.#waitersByClient.get(waitKey(subject)) ?? 0;
    const hasQueueSpace = this.#waiters.size < queue && ofClient < Math.max(1, queue / QUEUE_SHARE);
    if (wait === 0 || !hasQueueSpace) throw this.refusal(full, subject);
    if (signal.aborted) throw signal.reason;
    return this.#wait(subject, signal, wait);
  }

  /** Counts a tunnel that is open already, even above the limit. */
  count(subject: Subject): Disposable {
    return this.#openSlot(subject);
  }

  *describe(): Iterable<TunnelState> {
    for (const scope of SCOPES) {
      const max = this.#options[scope];
      if (max === undefined) continue;
      let open = 0;
      for (const count of this.#open[scope].values()) open += count;
      const [per, refusals] = [scope === 'total' ? 'proxy' : scope, this.#refused[scope]] as const;
      const waiting = this.#waiters.size;
      yield { kind: 'tunnels', name: nameOf(scope), per, max, open, waiting, refused: refusals };
    }
  }

  #wait(subject: Subject, signal: StopSignal, waitMs: number): Promise<Disposable> {
    return new Promise((resolve, reject) => {
      const dequeue = () => {
        this.#waiters.delete(waiter);
        add(this.#waitersByClient, waitKey(subject), -1);
        timer[Symbol.dispose]();
        signal.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        subject,
        admit: () => {
          dequeue();
          resolve(this.#openSlot(subject));
        },
      };
      const onAbort = () => {
        dequeue();
        reject(signal.reason);
      };
      const timer = this.#clock.after(waitMs, () => {
        dequeue();
        reject(this.refusal(this.#fullScope(subject) ?? 'total', subject));
      });
      this.#waiters.add(waiter);
      add(this.#waitersByClient, waitKey(subject), 1);
      signal.addEventListener('abort', onAbort);
    });
  }

  #fullScope(subject: Subject): Scope | undefined {
    return SCOPES.find((scope) => {
      const max = this.#options[scope];
      return max !== undefined && (this.#open[scope].get(keyIn(scope, subject)) ?? 0) >= max;
    });
  }

  #openSlot(subject: Subject): Disposable {
    const slot = new TunnelSlot(subject, this);
    this.#slots.add(slot);
    this.#count(subject, 1);
    return slot;
  }

  /** Called when a tunnel closes; the second time it does nothing. */
  release(slot: TunnelSlot): void {
    if (!this.#slots.delete(slot)) return;
    this.#count(slot.subject, -1);
    this.#admitNext();
  }

  #count(subject: Subject, change: 1 | -1): void {
    if (!this.#isCounting) return;
    for (const scope of SCOPES) add(this.#open[scope], keyIn(scope, subject), change);
  }

  #admitNext(): void {
    for (const waiter of this.#waiters) {
      const full = this.#fullScope(waiter.subject);
      if (full === 'total') return;
      if (full === undefined) waiter.admit();
    }
  }

  /** Counts and makes the refusal by one limit. */
  refusal(scope: Scope, subject: Subject): ProxyError {
    this.#refused[scope]++;
    const max = this.#options[scope] ?? 0;
    const whose = { total: '', client: ' for one client', user: ' for one user' }[scope];
    return refusalError({
      code: scope === 'total' ? 'at_capacity' : 'too_many_tunnels',
      limit: nameOf(scope),
      clientDetail: `limit "${nameOf(scope)}" allows ${max} open ${max === 1 ? 'tunnel' : 'tunnels'}${whose}`,
      key: keyIn(scope, subject),
      // When a tunnel will close is unknown; the time that requests wait here is the only measure of it.
      retryAfterMs: this.#options.wait,
      policy: { quota: max, windowMs: undefined, unit: 'concurrent-requests', left: 0 },
    });
  }
}

/** One open tunnel. */
class TunnelSlot implements SlotItem, Disposable {
  slot = NO_SLOT;
  readonly subject: Subject;
  readonly #limits: TunnelLimits;

  constructor(subject: Subject, limits: TunnelLimits) {
    this.subject = subject;
    this.#limits = limits;
  }

  [Symbol.dispose](): void {
    this.#limits.release(this);
  }
}

function add(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
