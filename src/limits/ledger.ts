import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { Observe } from '../core/contracts.ts';
import type { StopSignal } from '../core/stop.ts';
import { Concurrency, type TunnelState } from './concurrency.ts';
import type { KeptQuotas } from './counter.ts';
import type { Names } from './names.ts';
import type { LimitsOptions } from './options.ts';
import { type QuotaHold, type QuotaState, Quotas } from './quota.ts';
import { QuotaFile } from './quota-file.ts';
import { RequestRate, type RequestState } from './rate.ts';
import type { Subject } from './subject.ts';

/** What counts requests, open tunnels and bytes per period. */
export interface Ledger extends AsyncDisposable {
  /** A place for one request; disposing gives it back. Throws or rejects with `at_capacity` or `over_rate`. */
  admit(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable>;
  /** What counts the bytes of a request that was admitted. */
  hold(subject: Subject): QuotaHold;
  update(options: LimitsOptions, names: Names): void;
  namesFor(subject: Subject): string[];
  describe(): Iterable<TunnelState | RequestState | QuotaState>;
}

export interface LedgerParts {
  readonly clock: Clock;
  readonly observe: Observe;
  /** Where quotas are kept unless `options.state` names a file; `undefined`: nowhere, a restart forgets them. */
  readonly stateDir?: string | undefined;
}

const STATE_FILE = 'quota.json';
const NO_QUOTAS: KeptQuotas = new Map();
/** Where nothing counts open tunnels, nothing has to be given back. */
const NO_PLACE: Disposable = { [Symbol.dispose]() {} };

/** Counts in this process, for all of them. */
export class OwnLedger implements Ledger {
  readonly quotas: Quotas;
  readonly concurrency: Concurrency;
  readonly #requests: RequestRate;
  readonly #file: QuotaFile | undefined;

  constructor(options: LimitsOptions, { clock, observe, stateDir }: LedgerParts) {
    const path = options.state ?? (stateDir === undefined ? undefined : join(stateDir, STATE_FILE));
    this.#file = path === undefined ? undefined : new QuotaFile(path, clock, observe);
    this.concurrency = new Concurrency(clock, options.tunnels);
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
    return subject.isTunnel ? this.concurrency.take(subject, signal) : NO_PLACE;
  }

  hold(subject: Subject): QuotaHold {
    return this.quotas.hold(subject);
  }

  update(options: LimitsOptions, names: Names): void {
    this.#requests.update(options.requests, names);
    this.quotas.update(options.quota, names);
    this.concurrency.update(options.tunnels);
  }

  namesFor(subject: Subject): string[] {
    const tunnels = subject.isTunnel ? this.concurrency.names() : [];
    return [...tunnels, ...this.#requests.names(), ...this.quotas.names()];
  }

  *describe(): Iterable<TunnelState | RequestState | QuotaState> {
    yield* this.concurrency.describe();
    yield* this.#requests.describe();
    yield* this.quotas.describe();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.[Symbol.asyncDispose]();
  }
}
