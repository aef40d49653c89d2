import type { Clock } from '../core/clock.ts';
import type { ProxyError } from '../core/failure.ts';
import { type Listed, NO_SLOT, Roster } from '../core/roster.ts';
import type { StopSignal } from '../core/stop.ts';
import type { TunnelOptions } from './options.ts';
import { refused } from './refusal.ts';
import { keyOf, type Subject } from './subject.ts';

/** One client may hold this part of the waiting places, so that it cannot turn everybody else away. */
const QUEUE_SHARE = 4;

type Scope = 'total' | 'client' | 'user';
const SCOPES: readonly Scope[] = ['total', 'client', 'user'];

interface Waiter {
  readonly subject: Subject;
  readonly admit: () => void;
}

export interface TunnelState {
  readonly kind: 'tunnels';
  readonly name: string;
  readonly per: 'proxy' | 'client' | 'user';
  readonly max: number;
  /** Open tunnels, and requests that wait for a place. */
  readonly open: number;
  readonly waiting: number;
  readonly refused: number;
}

const isLimited = (options: TunnelOptions): boolean => SCOPES.some((scope) => options[scope] !== undefined);
const nameOf = (scope: Scope): string => `tunnels ${scope}`;
const keyIn = (scope: Scope, subject: Subject): string => keyOf(scope === 'total' ? 'proxy' : scope, subject);
/** The key that places in the queue are counted by. */
const waitKey = (subject: Subject): string => `wait ${subject.client}`;

/** How many tunnels may be open at once, and who waits for a place. First come first served among those who fit. */
export class Concurrency {
  readonly #clock: Clock;
  readonly #places = new Roster<Place>();
  /** Open tunnels by scope and key, while there is a limit; what counts 0 is not kept, so never more than tunnels. */
  readonly #open: Readonly<Record<Scope, Map<string, number>>> = {
    total: new Map(),
    client: new Map(),
    user: new Map(),
  };
  readonly #waiters = new Set<Waiter>();
  readonly #waitersByClient = new Map<string, number>();
  readonly #refused: Record<Scope, number> = { total: 0, client: 0, user: 0 };
  #options: TunnelOptions;
  /** Without a limit nobody asks how many there are. */
  #isCounting: boolean;

  constructor(clock: Clock, options: TunnelOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#isCounting = isLimited(options);
  }

  names(): string[] {
    return SCOPES.filter((scope) => this.#options[scope] !== undefined).map(nameOf);
  }

  /** A larger number lets in who waits; a smaller one closes nothing that is open. */
  update(options: TunnelOptions): void {
    this.#options = options;
    this.#isCounting = isLimited(options);
    for (const scope of SCOPES) this.#open[scope].clear();
    for (const { subject } of this.#places) this.#count(subject, 1);
    this.#admitNext();
  }

  /** A place for one tunnel; disposing gives it back. Throws or rejects with `at_capacity` or `over_rate`. */
  take(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable> {
    const full = this.#fullScope(subject);
    if (full === undefined) return this.#enter(subject);
    const { wait, queue } = this.#options;
    const ofClient = this.#waitersByClient.get(waitKey(subject)) ?? 0;
    const hasRoom = this.#waiters.size < queue && ofClient < Math.max(1, queue / QUEUE_SHARE);
    if (wait === 0 || !hasRoom) throw this.#refusal(full, subject);
    if (signal.aborted) throw signal.reason;
    return this.#wait(subject, signal, wait);
  }

  /** Counts a tunnel that is open already, whether there is room or not. */
  count(subject: Subject): Disposable {
    return this.#enter(subject);
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
      const leave = () => {
        this.#waiters.delete(waiter);
        add(this.#waitersByClient, waitKey(subject), -1);
        timer[Symbol.dispose]();
        signal.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        subject,
        admit: () => {
          leave();
          resolve(this.#enter(subject));
        },
      };
      const onAbort = () => {
        leave();
        reject(signal.reason);
      };
      const timer = this.#clock.after(waitMs, () => {
        leave();
        reject(this.#refusal(this.#fullScope(subject) ?? 'total', subject));
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

  #enter(subject: Subject): Disposable {
    const place = new Place(subject, this);
    this.#places.add(place);
    this.#count(subject, 1);
    return place;
  }

  /** Called by whoever gives a place back; the second time it does nothing. */
  leave(place: Place): void {
    if (!this.#places.delete(place)) return;
    this.#count(place.subject, -1);
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

  #refusal(scope: Scope, subject: Subject): ProxyError {
    this.#refused[scope]++;
    const max = this.#options[scope] ?? 0;
    const whose = { total: '', client: ' for one client', user: ' for one user' }[scope];
    return refused({
      code: scope === 'total' ? 'at_capacity' : 'over_rate',
      limit: nameOf(scope),
      told: `limit "${nameOf(scope)}" allows ${max} open ${max === 1 ? 'tunnel' : 'tunnels'}${whose}`,
      key: keyIn(scope, subject),
      // When a tunnel will close is unknown; a client that comes back after the wait has waited once, not twice.
      retryAfterMs: this.#options.wait,
      policy: { quota: max, windowMs: undefined, unit: 'concurrent-requests', left: 0 },
    });
  }
}

/** One open tunnel, for as long as it is. */
class Place implements Listed, Disposable {
  slot = NO_SLOT;
  readonly subject: Subject;
  readonly #home: Concurrency;

  constructor(subject: Subject, home: Concurrency) {
    this.subject = subject;
    this.#home = home;
  }

  [Symbol.dispose](): void {
    this.#home.leave(this);
  }
}

function add(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
