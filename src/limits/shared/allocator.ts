import { type Demand, NO_DEMAND } from './backend.ts';
import type { DemandKind, FiniteSupply, Supply } from './supply.ts';

/** One process at one budget, as the owner of the limits sees it. Disposing ends it. */
export interface Claim extends Disposable {
  want(demand: Demand): void;
  refund(bytes: number): void;
  /** The response to a recall. */
  surrender(bytes: number): void;
}

/** What a process is sent about its claim. */
export interface ClaimListener {
  onGranted(bytes: number): void;
  onExhausted(forMs: number): void;
  /** It has to surrender what it has not used. */
  onRecalled(): void;
}

/**
 * Shares one budget among the processes that use it, by the gates of each; no byte is granted twice. A rate is granted as
 * it comes, and a demand stands until it is met. A quota answers each demand once, with what it can spare; when a process
 * gets nothing, all are asked for what they have not used, those that wait as well: two that wait for the same rest would
 * never get it together. What then is too little for all that wait is shared out, and they are sent the end of the quota.
 * So together they use all of it and not one byte more.
 */
export class Allocator<S extends Supply = Supply> {
  readonly supply: S;
  readonly #onWaiting: (allocator: Allocator<S>) => void;
  readonly #claimants = new Set<Claimant>();

  /** `onWaiting` is called when claimants wait for what comes with time: `serve` is to be called again. */
  constructor(supply: S, onWaiting: (allocator: Allocator<S>) => void = () => {}) {
    this.supply = supply;
    this.#onWaiting = onWaiting;
  }

  get claimants(): number {
    return this.#claimants.size;
  }

  /** `onLeft` is called once, when the claim has ended. */
  join(listener: ClaimListener, onLeft: () => void): Claim {
    const claimant = new Claimant(listener);
    this.#claimants.add(claimant);
    return {
      want: (demand) => this.#want(claimant, demand),
      refund: (bytes) => this.#refund(bytes),
      surrender: (bytes) => this.#surrender(claimant, bytes),
      [Symbol.dispose]: () => {
        this.#leave(claimant);
        onLeft();
      },
    };
  }

  serve(): void {
    const { supply } = this;
    this.#fill();
    if (this.#isRecalling()) return;
    const grantMax = supply.grantMax(this.#claimants.size);
    this.#share('normal', grantMax);
    if (this.#wanted('normal') === 0) this.#share('background', grantMax);
    if (this.#waiting().length === 0) return;
    if (supply.kind === 'refilling') {
      supply.onWaiting();
      this.#onWaiting(this);
    } else {
      const wanted = this.#wanted('normal') + this.#wanted('background');
      if (supply.requestMore(wanted, () => this.serve()) === 'none') this.#recall();
    }
  }

  #want(claimant: Claimant, demand: Demand): void {
    // Before the demand changes: until now it was the old one that waited.
    this.#fill();
    claimant.demand = demand;
    this.serve();
  }

  #refund(bytes: number): void {
    this.#fill();
    this.supply.refund(bytes);
    this.serve();
  }

  #leave(claimant: Claimant): void {
    this.#fill();
    this.#claimants.delete(claimant);
    this.#surrender(claimant, 0);
  }

  #surrender(claimant: Claimant, bytes: number): void {
    const { supply } = this;
    if (bytes > 0) supply.refund(bytes);
    if (!claimant.isRecalled) return;
    claimant.isRecalled = false;
    if (supply.kind === 'finite' && !this.#isRecalling()) this.#shareRest(supply);
  }

  #shareRest(supply: FiniteSupply): void {
    const waiting = this.#waiting();
    const isEnd = supply.isTooLittleFor(waiting.length);
    this.#share('normal', Number.POSITIVE_INFINITY);
    // A claimant whose share was less than a byte still waits.
    if (!isEnd) return this.serve();
    for (const claimant of waiting) {
      claimant.demand = NO_DEMAND;
      claimant.listener.onExhausted(supply.resetsInMs());
    }
  }

  #share(kind: DemandKind, grantMax: number): void {
    const waiting = this.#waiting().filter(({ demand }) => demand[kind] > 0);
    if (waiting.length === 0) return;
    let bytesLeft = this.supply.grantable(kind, this.#wanted(kind));
    // The claimant that wants least comes first, so that what it leaves is there for the others.
    waiting.sort((a, b) => a.demand[kind] / a.weight - b.demand[kind] / b.weight);
    let weightLeft = waiting.reduce((sum, { weight }) => sum + weight, 0);
    for (const claimant of waiting) {
      const { demand, weight } = claimant;
      const bytes = Math.min(demand[kind], grantMax, Math.floor((bytesLeft * weight) / weightLeft));
      weightLeft -= weight;
      if (bytes <= 0) continue;
      bytesLeft -= bytes;
      this.supply.take(bytes, kind);
      claimant.demand = this.supply.kind === 'finite' ? NO_DEMAND : { ...demand, [kind]: demand[kind] - bytes };
      claimant.listener.onGranted(bytes);
    }
  }

  #recall(): void {
    // Marked before any is asked: one may respond at once, and the rest is shared when the last has responded.
    for (const claimant of this.#claimants) claimant.isRecalled = true;
    for (const claimant of this.#claimants) claimant.listener.onRecalled();
  }

  #isRecalling(): boolean {
    for (const { isRecalled } of this.#claimants) if (isRecalled) return true;
    return false;
  }

  #waiting(): Claimant[] {
    return [...this.#claimants].filter(({ isWaiting }) => isWaiting);
  }

  #wanted(kind: DemandKind): number {
    let wanted = 0;
    for (const { demand } of this.#claimants) wanted += demand[kind];
    return wanted;
  }

  #fill(): void {
    const waiting = this.#waiting();
    let [gates, background] = [0, 0];
    for (const { demand, weight } of waiting) {
      if (demand.normal > 0) gates += weight;
      else background += weight;
    }
    this.supply.fill(waiting.length, gates, background);
  }
}

class Claimant {
  demand: Demand = NO_DEMAND;
  /** It was sent a recall, and has not responded yet. */
  isRecalled = false;
  readonly listener: ClaimListener;

  constructor(listener: ClaimListener) {
    this.listener = listener;
  }

  get isWaiting(): boolean {
    return this.demand.normal > 0 || this.demand.background > 0;
  }

  /** It stands for as many gates. */
  get weight(): number {
    return Math.max(1, this.demand.gates);
  }
}
