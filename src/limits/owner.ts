import type { Clock } from '../core/clock.ts';
import { ProxyError } from '../core/failure.ts';
import type { Pace } from './bucket.ts';
import { Keyed } from './keyed.ts';
import type { AccountOf, Demand, SentSubject, ToBorrower, ToOwner } from './lease.ts';
import { type LedgerParts, OwnLedger } from './ledger.ts';
import { Names } from './names.ts';
import type { LimitsOptions } from './options.ts';
import { QuotaDesk } from './quota-desk.ts';
import { type Customer, NO_DEMAND, SERVE_EVERY_MS, Till } from './till.ts';

/** Budgets of clients, users or hosts that are kept for one limit while they are not in use and not yet full. */
const KEYS_MAX = 100_000;

/** One process that serves requests under these limits. Disposing gives back every place that it holds. */
export interface Branch extends Disposable {
  hear(messages: readonly ToOwner[]): void;
}

interface BandwidthBudget {
  readonly pace: Pace | undefined;
  readonly tills: Keyed<Till>;
}

/** What the owner does for one account of a branch. */
interface Desk {
  want(demand: Demand): void;
  giveBack(bytes: number): void;
  yielded(bytes: number): void;
  close(): void;
}

/** The limits of several processes: numbers are counted here one by one, bytes are lent in slices. */
export class LimitsOwner implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #ledger: OwnLedger;
  #bandwidth: ReadonlyMap<string, BandwidthBudget> = new Map();
  readonly #quotaDesks = new Map<string, QuotaDesk>();
  /** Budgets at which somebody waits. */
  readonly #hungry = new Set<Till>();
  #timer: Disposable | undefined;

  constructor(options: LimitsOptions, parts: LedgerParts) {
    this.#clock = parts.clock;
    this.#ledger = new OwnLedger(options, parts);
    this.update(options);
  }

  /** To be called before the branches adopt the same limits: they speak of limits that must be known here. */
  update(options: LimitsOptions): void {
    const names = new Names(options);
    this.#ledger.update(options, names);
    const nowMs = this.#clock.now();
    const before = this.#bandwidth;
    this.#bandwidth = new Map(
      options.bandwidth.map((entry) => {
        const { id } = names.bandwidth(entry);
        const pace = entry.rate === undefined ? undefined : { rate: entry.rate, burst: entry.burst };
        const tills = before.get(id)?.tills ?? new Keyed<Till>(KEYS_MAX, (till) => till.isFull(this.#clock.now()));
        if (pace) for (const till of tills.values()) till.setPace(pace, nowMs);
        return [id, { pace, tills }] as const;
      }),
    );
  }

  /** `send` is called with what is to be told to one more process. */
  branch(send: (messages: readonly ToBorrower[]) => void): Branch {
    return new OpenBranch(this.#ledger, (of, a, say) => this.#desk(of, a, say), send);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    await this.#ledger[Symbol.asyncDispose]();
  }

  #desk(of: AccountOf, a: number, say: (message: ToBorrower) => void): Desk {
    return of.kind === 'quota' ? this.#quotaDesk(of, a, say) : this.#bandwidthDesk(of, a, say);
  }

  #bandwidthDesk({ limit, key }: AccountOf, a: number, say: (message: ToBorrower) => void): Desk {
    const { pace, tills } = this.#bandwidth.get(limit) ?? {};
    const granted = (bytes: number) => say({ is: 'grant', a, bytes });
    if (pace === undefined || tills === undefined) return unlimited(granted);
    const till = tills.hold(key, () => new Till(pace, this.#clock.now()));
    const customer: Customer = { demand: NO_DEMAND, granted };
    return {
      want: (demand) => {
        till.want(customer, demand, this.#clock.now());
        this.#serve(till);
      },
      giveBack: (bytes) => till.giveBack(bytes, this.#clock.now()),
      yielded() {},
      close: () => {
        till.leave(customer, this.#clock.now());
        tills.release(key);
      },
    };
  }

  #quotaDesk({ limit, key }: AccountOf, a: number, say: (message: ToBorrower) => void): Desk {
    const opened = this.#ledger.quotas.open(limit, key);
    if (opened === undefined) return unlimited((bytes) => say({ is: 'grant', a, bytes }));
    const id = JSON.stringify([limit, key]);
    const desk = this.#quotaDesks.get(id) ?? new QuotaDesk(opened.counter);
    this.#quotaDesks.set(id, desk);
    const customer = {
      granted: (bytes: number) => say({ is: 'grant', a, bytes }),
      exhausted: (forMs: number) => say({ is: 'over', a, forMs }),
      recall: () => say({ is: 'recall', a }),
    };
    desk.join(customer);
    return {
      want: (demand) => desk.want(customer, demand),
      giveBack: (bytes) => desk.giveBack(bytes),
      yielded: (bytes) => desk.yielded(customer, bytes),
      close: () => {
        desk.leave(customer);
        if (desk.customers === 0) this.#quotaDesks.delete(id);
        opened[Symbol.dispose]();
      },
    };
  }

  #serve(till: Till): void {
    if (till.serve(this.#clock.now())) this.#hungry.add(till);
    else this.#hungry.delete(till);
    if (this.#hungry.size > 0) this.#timer ??= this.#clock.after(SERVE_EVERY_MS, () => this.#tick());
  }

  #tick(): void {
    this.#timer = undefined;
    for (const till of this.#hungry) if (!till.serve(this.#clock.now())) this.#hungry.delete(till);
    if (this.#hungry.size > 0) this.#timer = this.#clock.after(SERVE_EVERY_MS, () => this.#tick());
  }
}

/** A limit that was taken away while a branch still asks under it. */
const unlimited = (granted: (bytes: number) => void): Desk => ({
  want: ({ normal, background }) => {
    if (normal + background > 0) granted(normal + background);
  },
  giveBack() {},
  yielded() {},
  close() {},
});

type DeskMaker = (of: AccountOf, a: number, say: (message: ToBorrower) => void) => Desk;

class OpenBranch implements Branch {
  readonly #ledger: OwnLedger;
  readonly #makeDesk: DeskMaker;
  readonly #send: (messages: readonly ToBorrower[]) => void;
  #outbox: ToBorrower[] = [];
  #isOpen = true;
  readonly #places = new Map<number, Disposable>();
  readonly #waiting = new Map<number, AbortController>();
  readonly #desks = new Map<number, Desk>();

  constructor(ledger: OwnLedger, makeDesk: DeskMaker, send: (messages: readonly ToBorrower[]) => void) {
    this.#ledger = ledger;
    this.#makeDesk = makeDesk;
    this.#send = send;
  }

  hear(messages: readonly ToOwner[]): void {
    for (const message of messages) this.#hearOne(message);
  }

  [Symbol.dispose](): void {
    this.#isOpen = false;
    for (const waiting of this.#waiting.values()) waiting.abort();
    for (const place of this.#places.values()) place[Symbol.dispose]();
    for (const desk of this.#desks.values()) desk.close();
    this.#places.clear();
    this.#desks.clear();
  }

  #hearOne(message: ToOwner): void {
    switch (message.is) {
      case 'enter':
        return this.#enter(message.n, message.subject);
      case 'present':
        this.#places.set(message.n, this.#ledger.concurrency.count(known(message.subject)));
        return;
      case 'leave':
        this.#waiting.get(message.n)?.abort();
        this.#places.get(message.n)?.[Symbol.dispose]();
        this.#places.delete(message.n);
        return;
      case 'open':
        this.#desks.set(
          message.a,
          this.#makeDesk(message, message.a, (answer) => this.#say(answer)),
        );
        return;
      case 'want':
        return this.#desks.get(message.a)?.want(message);
      case 'back':
        return this.#desks.get(message.a)?.giveBack(message.bytes);
      case 'yield':
        return this.#desks.get(message.a)?.yielded(message.bytes);
      case 'close':
        this.#desks.get(message.a)?.close();
        this.#desks.delete(message.a);
        return;
    }
  }

  #enter(n: number, subject: SentSubject): void {
    const leaving = new AbortController();
    try {
      const place = this.#ledger.admit(known(subject), leaving.signal);
      if (!(place instanceof Promise)) return this.#entered(n, place);
      this.#waiting.set(n, leaving);
      place
        .then(
          (late) => (leaving.signal.aborted ? late[Symbol.dispose]() : this.#entered(n, late)),
          (error) => this.#refused(n, error),
        )
        .finally(() => this.#waiting.delete(n));
    } catch (error) {
      this.#refused(n, error);
    }
  }

  #entered(n: number, place: Disposable): void {
    this.#places.set(n, place);
    this.#say({ is: 'entered', n });
  }

  #refused(n: number, error: unknown): void {
    if (!(error instanceof ProxyError)) return;
    const { detail, told, fields } = error;
    const code = error.code === 'at_capacity' ? 'at_capacity' : 'over_rate';
    this.#say({ is: 'refused', n, code, detail, told, fields });
  }

  #say(message: ToBorrower): void {
    if (!this.#isOpen) return;
    this.#outbox.push(message);
    if (this.#outbox.length > 1) return;
    // Not on the clock: it is no wait, only the end of this turn.
    setImmediate(() => {
      const messages = this.#outbox;
      this.#outbox = [];
      if (this.#isOpen) this.#send(messages);
    });
  }
}

/** Counting needs no address: what is counted by it stands in `client`. */
const known = (subject: SentSubject) => ({ ...subject, address: undefined });
