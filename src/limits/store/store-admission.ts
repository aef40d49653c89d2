import { createHash } from 'node:crypto';
import { ProxyError } from '../../contracts/failure.ts';
import type { Clock } from '../../util/clock.ts';
import type { StopSignal } from '../../util/stop.ts';
import type { OpenQuota, OwnerAdmission } from '../counting/admission.ts';
import { quotaRefusal } from '../counting/quotas.ts';
import { RequestRate } from '../counting/request-rate.ts';
import { keyIn, SCOPES, type Scope, TunnelLimits } from '../counting/tunnels.ts';
import { LimitIds } from '../ids.ts';
import type { LimitState } from '../limit-state.ts';
import type { LimitsOptions } from '../options.ts';
import { keyOf, type Subject } from '../subject.ts';
import { AdmissionCalls, type AdmissionReply } from './admission-calls.ts';
import type { QuotaLeases, StoreQuota } from './quota-leases.ts';
import type { StoreLink } from './store-link.ts';
import { TunnelWaiters } from './tunnel-waiters.ts';

/** Of a request that is no tunnel. */
const NO_SLOT: Disposable = { [Symbol.dispose]() {} };
/** Users in a description: of thousands of keys a person reads a page. */
const USERS_SHOWN = 100;

export interface StoreAdmissionDeps {
  readonly link: StoreLink;
  readonly quotas: QuotaLeases;
  readonly clock: Clock;
}

/**
 * Admits each request by one call of the store, for all limits at once. Without the store it refuses (`deny`) or counts
 * by itself, with an equal part of each limit for each instance.
 */
export class StoreAdmission implements OwnerAdmission {
  readonly #link: StoreLink;
  readonly #leases: QuotaLeases;
  readonly #clock: Clock;
  readonly #calls: AdmissionCalls;
  readonly #waiters: TunnelWaiters;
  /** The tunnels of this instance, and while the store is down its part of the limits. */
  readonly #tunnels: TunnelLimits;
  readonly #requests: RequestRate;
  #options: LimitsOptions;
  #quotas: readonly StoreQuota[] = [];

  constructor(options: LimitsOptions, { link, quotas, clock }: StoreAdmissionDeps) {
    this.#link = link;
    this.#leases = quotas;
    this.#clock = clock;
    this.#options = options;
    this.#tunnels = new TunnelLimits(clock, options.tunnels);
    this.#requests = new RequestRate(clock, 'empty');
    this.#calls = new AdmissionCalls({ link, clock, openOf: (scope, key) => this.#tunnels.openOf(scope, key) });
    this.#waiters = new TunnelWaiters(clock, link);
    link.onChange((change) => {
      if (change === 'down') this.#requests.clear();
      this.#apply();
      // The store may have forgotten them, or may have taken this instance for ended.
      if (change !== 'down') this.#calls.report(this.#tunnels.openKeys());
    });
  }

  admit(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable> {
    if (this.#link.denies) throw storeIsDown();
    if (!this.#link.isUp) return this.#admitHere(subject, signal);
    return this.#isCounted(subject) ? this.#admitByStore(subject, signal) : this.#slot(subject);
  }

  count(subject: Subject): Disposable {
    return this.#opened(this.#tunnels.count(subject), subject);
  }

  openQuota(id: string, key: string): OpenQuota | undefined {
    const quota = this.#quotas.find((one) => one.id === id);
    if (quota === undefined) return undefined;
    const lease = quota.leases.hold(key, () => this.#leases.make(id, key, quota.options));
    lease.users++;
    return {
      supply: lease,
      [Symbol.dispose]: () => {
        lease.users--;
        lease.refund(0);
        quota.leases.release(key);
      },
    };
  }

  update(options: LimitsOptions, limitIds: LimitIds): void {
    this.#options = options;
    const old = new Map(this.#quotas.map((quota) => [quota.id, quota]));
    this.#quotas = options.quota.map((entry) => {
      const { id, name } = limitIds.quota(entry);
      const quota = old.get(id) ?? { id, name, options: entry, refused: 0, leases: this.#leases.pool() };
      for (const lease of quota.leases.values()) lease.options = entry;
      return Object.assign(quota, { name, options: entry });
    });
    this.#apply();
    this.#calls.report(this.#tunnels.openKeys());
  }

  *describe(): Iterable<LimitState> {
    yield* this.#tunnels.describe();
    yield* this.#requests.describe();
    for (const { name, options, refused, leases } of this.#quotas) {
      const users = [...leases.entries()]
        .map(([key, lease]) => ({
          key,
          used: BigInt(Math.floor(lease.used)),
          resetsAt: new Date(lease.resetsAtMs),
        }))
        .sort((a, b) => Number(b.used - a.used))
        .slice(0, USERS_SHOWN);
      const { per, bytes, every } = options;
      yield { kind: 'quota', name, per, max: BigInt(bytes), everyMs: every, refused, users };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#waiters[Symbol.dispose]();
    this.#calls[Symbol.dispose]();
  }

  async #admitByStore(subject: Subject, signal: StopSignal): Promise<Disposable> {
    using waiter = this.#waiters.enter(subject, signal);
    for (;;) {
      const reply = await this.#calls.ask(this.#question(subject), () => this.#slot(subject));
      if (reply.kind === 'admitted') {
        if (!signal.aborted) return reply.slot;
        reply.slot[Symbol.dispose]();
        throw signal.reason;
      }
      if (reply.kind === 'store-down') {
        if (this.#link.denies) throw storeIsDown();
        return await this.#admitHere(subject, signal);
      }
      const refusal = this.#refusal(reply, subject);
      if (!reply.isTunnels) throw refusal();
      if (!(await waiter.retry(this.#options.tunnels))) throw refusal();
    }
  }

  #refusal(reply: Extract<AdmissionReply, { kind: 'refused' }>, subject: Subject): () => Error {
    const { by, at, waitMs } = reply;
    if (by === 'requests') {
      return () => this.#requests.refusalBy(at, subject, waitMs) ?? storeIsDown();
    }
    if (by === 'quota') return () => this.#quotaRefusal(this.#quotas[at], subject, waitMs);
    const scope = this.#scopes[at] ?? 'total';
    return () => this.#tunnels.refusal(scope, subject);
  }

  #quotaRefusal(quota: StoreQuota | undefined, subject: Subject, waitMs: number): Error {
    if (quota === undefined) return storeIsDown();
    quota.refused++;
    const key = keyOf(quota.options.per, subject);
    return quotaRefusal(quota, key, { resetsAtMs: this.#clock.wallMs() + waitMs, waitMs });
  }

  #admitHere(subject: Subject, signal: StopSignal): Disposable | Promise<Disposable> {
    for (const quota of this.#quotas) {
      const lease = quota.leases.peek(keyOf(quota.options.per, subject));
      if (lease?.isUsedUp) throw this.#quotaRefusal(quota, subject, lease.resetsInMs());
    }
    this.#requests.count(subject);
    if (!subject.isTunnel) return NO_SLOT;
    const slot = this.#tunnels.acquire(subject, signal);
    return slot instanceof Promise ? slot.then((late) => this.#opened(late, subject)) : this.#opened(slot, subject);
  }

  #isCounted({ isTunnel }: Subject): boolean {
    const { requests, quota } = this.#options;
    return requests.length > 0 || quota.length > 0 || (isTunnel && this.#scopes.length > 0);
  }

  #question(subject: Subject) {
    return {
      rates: this.#requests.limits().map(({ id, options, burst }) => ({
        key: this.#key('requests', id, keyOf(options.per, subject)),
        rate: options.rate,
        burst,
      })),
      quotas: this.#quotas.map(({ id, options: { per, bytes, every } }) => ({
        key: this.#leases.keyOf(id, keyOf(per, subject)),
        max: bytes,
        everyMs: every,
      })),
      tunnels: subject.isTunnel
        ? this.#scopes.map((scope) => ({
            scope,
            key: keyIn(scope, subject),
            max: this.#options.tunnels[scope] ?? 0,
          }))
        : [],
    };
  }

  get #scopes(): readonly Scope[] {
    return SCOPES.filter((scope) => this.#options.tunnels[scope] !== undefined);
  }

  #keysOf(subject: Subject): { readonly scope: Scope; readonly key: string }[] {
    return this.#scopes.map((scope) => ({ scope, key: keyIn(scope, subject) }));
  }

  #slot(subject: Subject): Disposable {
    return subject.isTunnel ? this.#reporting(this.#tunnels.count(subject), subject) : NO_SLOT;
  }

  /** The store may be up again by now, and has not admitted it. */
  #opened(slot: Disposable, subject: Subject): Disposable {
    this.#calls.report(this.#keysOf(subject));
    return this.#reporting(slot, subject);
  }

  /** The store hears of the end of a tunnel. */
  #reporting(slot: Disposable, subject: Subject): Disposable {
    return {
      [Symbol.dispose]: () => {
        slot[Symbol.dispose]();
        this.#calls.report(this.#keysOf(subject));
      },
    };
  }

  #key(kind: string, id: string, key: string): string {
    return this.#link.key(kind, createHash('sha256').update(`${id}\0${key}`).digest('base64url').slice(0, 22));
  }

  /** Puts the limits in force here: all of them, or while the store is down an equal part for each instance. */
  #apply(): void {
    const { isUp, instances } = this.#link;
    const options = isUp ? this.#options : partOf(this.#options, instances);
    this.#requests.update(options.requests, new LimitIds(options));
    this.#tunnels.update(options.tunnels);
  }
}

/** Counts of tunnels and bursts are whole: of few, each instance has one at least. */
function partOf(options: LimitsOptions, instances: number): LimitsOptions {
  const part = (count: number | undefined) => count && Math.max(1, Math.floor(count / instances));
  const { total, client, user, ...wait } = options.tunnels;
  return {
    ...options,
    tunnels: { ...wait, total: part(total), client: part(client), user: part(user) },
    requests: options.requests.map((entry) => ({
      ...entry,
      rate: entry.rate / instances,
      burst: part(entry.burst ?? Math.max(1, Math.floor(entry.rate))),
    })),
  };
}

const storeIsDown = (): ProxyError =>
  new ProxyError('limits_unavailable', 'the store of the shared limits is down, and limits.onStoreDown is deny');
