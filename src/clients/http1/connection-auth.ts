import type { ConnectionAuth } from '../../contracts/client.ts';
import type { OriginOwner } from '../../contracts/exchange.ts';
import type { Principal } from '../../contracts/stages.ts';

/** Whose requests a client connection carries, and the origin connection that belongs to it alone (RFC 4559 §6). */
export class Http1ConnectionAuth implements ConnectionAuth, OriginOwner, Disposable {
  readonly #ended: () => void;
  #principal: Principal | undefined;
  /** `shared` for good: it has carried two users, or is another proxy's, which may carry any number. */
  #state: 'single' | 'shared' | 'over' = 'single';
  #hasReported = false;
  owned: Disposable | undefined;

  /** `ended` is called when the owned connection has ended, and the client's is to end as well. */
  constructor(ended: () => void) {
    this.#ended = ended;
  }

  /** Whether nothing may follow what the client connection carries now. */
  get isOver(): boolean {
    return this.#state === 'over';
  }

  /** Notes whose request comes next; gives the owner of what that may have to itself. */
  carry(principal: Principal, from: 'client' | 'proxy'): OriginOwner | undefined {
    this.#principal ??= principal;
    const { name, scheme } = this.#principal;
    if (from === 'proxy' || name !== principal.name || scheme !== principal.scheme) this.#share();
    return this.#state === 'shared' ? undefined : this;
  }

  own(origin: Disposable): void {
    this.#drop();
    if (this.#state === 'single') this.owned = origin;
    else origin[Symbol.dispose]();
  }

  disown(): void {
    this.owned = undefined;
  }

  endWithOrigin(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#ended();
  }

  /** True once: what is said of such a connection need not be said of each of its requests. */
  claimFirstReport(): boolean {
    const isFirst = !this.#hasReported;
    this.#hasReported = true;
    return isFirst;
  }

  [Symbol.dispose](): void {
    this.#state = 'over';
    this.#drop();
  }

  #share(): void {
    if (this.#state === 'single') this.#state = 'shared';
    this.#drop();
  }

  #drop(): void {
    const { owned } = this;
    this.owned = undefined;
    owned?.[Symbol.dispose]();
  }
}
