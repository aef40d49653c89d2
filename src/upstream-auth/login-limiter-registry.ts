import type { Clock } from '../util/clock.ts';
import { LruMap } from '../util/lru-map.ts';
import type { Latch, Latches } from './latch-file.ts';
import type { LoginKey } from './login-attempt.ts';
import { LocalLoginLimiter, type SharedLogins, sharedLogins } from './login-limiter.ts';

/** Proxies at which one secret is known; a PAC names a handful. */
const PROXIES_MAX = 256;
/** Secrets. Forgetting one means that a wrong password is sent once more, so the bound is far above what is used. */
const SECRETS_MAX = 4_096;

interface SecretEntry {
  readonly shared: SharedLogins;
  /** As they were found at the start, by proxy. */
  readonly latches: ReadonlyMap<string, Latch>;
  readonly limiters: LruMap<string, LocalLoginLimiter>;
}

/** The login limiters of a process, one for each secret at each proxy. */
export class LoginLimiterRegistry {
  readonly #clock: Clock;
  readonly #latches: Latches | undefined;
  readonly #secrets = new LruMap<string, SecretEntry>(SECRETS_MAX);

  /** `latches`: where they outlive this process. */
  constructor(clock: Clock, latches?: Latches) {
    this.#clock = clock;
    this.#latches = latches;
  }

  limiterFor(key: LoginKey): LocalLoginLimiter {
    const entry = this.#secrets.getOrCreate(key.secret, () => this.#load(key.secret));
    return entry.limiters.getOrCreate(key.proxy, () => {
      const { shared, latches } = entry;
      const saveLatch = (latch: Latch | undefined) => this.#latches?.set(key, latch);
      const latch = latches.get(key.proxy);
      const look = this.#latches?.look?.bind(this.#latches, key);
      return new LocalLoginLimiter({ clock: this.#clock, shared, proxy: key.proxy, latch, saveLatch, look });
    });
  }

  /** The user says that everything may be tried again. */
  lift(): void {
    this.#latches?.clear();
    this.#secrets.clear();
  }

  /** How many proxies have rejected a secret is counted anew: the accounts behind them may have been mended meanwhile. */
  #load(secret: string): SecretEntry {
    return {
      shared: sharedLogins(),
      latches: this.#latches?.of(secret) ?? new Map(),
      limiters: new LruMap(PROXIES_MAX),
    };
  }
}
