import { join } from 'node:path';
import type { Observe } from '../../contracts/event.ts';
import type { Stoppable } from '../../contracts/limits.ts';
import type { Clock } from '../../util/clock.ts';
import type { StopSignal } from '../../util/stop.ts';
import type { LimitIds } from '../ids.ts';
import type { LimitState } from '../limit-state.ts';
import type { LimitsOptions } from '../options.ts';
import { type FiniteSupply, QuotaSupply } from '../shared/supply.ts';
import type { Subject } from '../subject.ts';
import type { SavedQuotas } from './quota-counter.ts';
import { QuotaFile } from './quota-file.ts';
import { type QuotaHold, Quotas } from './quotas.ts';
import { RequestRate } from './request-rate.ts';
import { TunnelLimits } from './tunnels.ts';

/** Admits requests: counts them, their tunnels and the bytes of quotas. */
export interface Admission extends AsyncDisposable {
  /**
   * Admits one request; disposing ends it. Throws or rejects with the code of the limit that refuses it. A limit may call
   * `request.stop` from then on, until the request is disposed.
   */
  admit(subject: Subject, signal: StopSignal, request?: Stoppable): Disposable | Promise<Disposable>;
  /** The quotas that count the bytes of an admitted request. */
  hold(subject: Subject): QuotaHold;
  update(options: LimitsOptions, limitIds: LimitIds): void;
  namesFor(subject: Subject): string[];
}

export interface AdmissionDeps {
  readonly clock: Clock;
  readonly observe: Observe;
  /** Folder of the quota file unless `options.state` names one; `undefined`: a restart forgets quotas. */
  readonly stateDir?: string | undefined;
}

const STATE_FILE = 'quota.json';
const NO_QUOTAS: SavedQuotas = new Map();
/** Of a request that is no tunnel. */
const NO_SLOT: Disposable = { [Symbol.dispose]() {} };

/** The bytes of one quota, while claims to it are open. */
export interface OpenQuota extends Disposable {
  readonly supply: FiniteSupply;
}

/** Admits the requests of all processes that share the limits, in the one that owns them. */
export interface OwnerAdmission extends AsyncDisposable {
  /** As `Admission.admit`. */
  admit(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable>;
  /** Counts a tunnel that is open already, even above the limit. */
  count(subject: Subject): Disposable;
  /** `undefined` where there is no such quota. */
  openQuota(id: string, key: string): OpenQuota | undefined;
  update(options: LimitsOptions, limitIds: LimitIds): void;
  describe(): Iterable<LimitState>;
}

/** Counts in this process. */
export class LocalAdmission implements Admission, OwnerAdmission {
  readonly quotas: Quotas;
  readonly tunnels: TunnelLimits;
  readonly #requests: RequestRate;
  readonly #file: QuotaFile | undefined;

  constructor(options: LimitsOptions, { clock, observe, stateDir }: AdmissionDeps) {
    const path = options.state ?? (stateDir === undefined ? undefined : join(stateDir, STATE_FILE));
    this.#file = path === undefined ? undefined : new QuotaFile(path, clock, observe);
    this.tunnels = new TunnelLimits(clock, options.tunnels);
    this.#requests = new RequestRate(clock);
    const snapshot = () => this.quotas.snapshot();
    this.quotas = new Quotas(
      clock,
      () => this.#file?.load() ?? NO_QUOTAS,
      () => this.#file?.saveSoon(snapshot),
    );
  }

  admit(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable> {
    this.quotas.check(subject);
    this.#requests.count(subject);
    return subject.isTunnel ? this.tunnels.acquire(subject, signal) : NO_SLOT;
  }

  hold(subject: Subject): QuotaHold {
    return this.quotas.hold(subject);
  }

  count(subject: Subject): Disposable {
    return this.tunnels.count(subject);
  }

  openQuota(id: string, key: string): OpenQuota | undefined {
    const opened = this.quotas.open(id, key);
    return opened && { supply: new QuotaSupply(opened.counter), [Symbol.dispose]: () => opened[Symbol.dispose]() };
  }

  update(options: LimitsOptions, limitIds: LimitIds): void {
    this.#requests.update(options.requests, limitIds);
    this.quotas.update(options.quota, limitIds);
    this.tunnels.update(options.tunnels);
  }

  namesFor(subject: Subject): string[] {
    const tunnels = subject.isTunnel ? this.tunnels.names() : [];
    return [...tunnels, ...this.#requests.names(), ...this.quotas.names()];
  }

  *describe(): Iterable<LimitState> {
    yield* this.tunnels.describe();
    yield* this.#requests.describe();
    yield* this.quotas.describe();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.[Symbol.asyncDispose]();
  }
}
