import type { LimitListener } from '../../contracts/stages.ts';
import type { Clock } from '../../util/clock.ts';
import { atOnce, type Sliced } from '../../util/slices.ts';
import { NO_SLOT, type SlotItem, SlotList } from '../../util/slot-list.ts';
import type { ExtraBucket } from '../hook.ts';
import type { LimitIds } from '../ids.ts';
import type { BandwidthState } from '../limit-state.ts';
import { buildMatcher } from '../match.ts';
import { indexOf, LimitIndex } from '../match-index.ts';
import type { BandwidthOptions } from '../options.ts';
import type { QuotaBudget } from '../quota-budget.ts';
import type { LeasedBuckets } from '../shared/leased-buckets.ts';
import { keyOf, type Subject } from '../subject.ts';
import { BandwidthLimit } from './bandwidth-limit.ts';
import { type Bucket, BucketEntry } from './bucket.ts';
import { ShapedGate } from './gate.ts';
import { Shaper } from './shaper.ts';

export type Direction = 'up' | 'down';
const DIRECTIONS: readonly Direction[] = ['up', 'down'];

const NONE: readonly never[] = [];

/** A bucket that a request holds, so that it can be released. */
interface Binding {
  readonly limit: BandwidthLimit;
  readonly key: string;
}

/**
 * The bandwidth of one request: a gate for each direction, made when a limit binds it or a relay asks for it. Most tunnels have no
 * limit, and a relay that asks nothing of them needs no gate.
 */
export class RequestShaping implements SlotItem {
  slot: number = NO_SLOT;
  readonly subject: Subject;
  /** Quotas count what passes here, too. */
  quotas: readonly QuotaBudget[];
  bindings: readonly Binding[] = NONE;
  /** Buckets besides those of `limits.bandwidth`: of the hook, and of leased quotas. */
  extras: readonly ExtraBucket[];
  /** Called when a gate becomes limited that was not. */
  limitListener: LimitListener | undefined;
  readonly #shaper: Shaper;
  #up: ShapedGate | undefined;
  #down: ShapedGate | undefined;
  #isOver = false;

  constructor(subject: Subject, quotas: readonly QuotaBudget[], extras: readonly ExtraBucket[], shaper: Shaper) {
    this.subject = subject;
    this.quotas = quotas;
    this.extras = extras;
    this.#shaper = shaper;
  }

  get up(): ShapedGate {
    this.#up ??= this.#newGate();
    return this.#up;
  }

  get down(): ShapedGate {
    this.#down ??= this.#newGate();
    return this.#down;
  }

  /** Those that were made. */
  get gates(): readonly ShapedGate[] {
    return [this.#up, this.#down].filter((gate) => gate !== undefined);
  }

  /** As both gates say, also where there is none. */
  get isIdle(): boolean {
    const isIdle = (gate: ShapedGate | undefined) => gate?.isIdle ?? this.quotas.length === 0;
    return !this.#isOver && isIdle(this.#up) && isIdle(this.#down);
  }

  end(): void {
    this.#isOver = true;
    for (const gate of this.gates) {
      this.#shaper.end(gate);
      gate.entries = NONE;
      gate.quotas = NONE;
    }
  }

  /** What is bound has its gates. */
  #newGate(): ShapedGate {
    const gate = new ShapedGate(this.#shaper);
    gate.isOver = this.#isOver;
    if (!this.#isOver) gate.quotas = this.quotas;
    return gate;
  }
}

/** All bandwidth limits and the requests under them. */
export class Bandwidth {
  readonly #clock: Clock;
  readonly #leases: LeasedBuckets | undefined;
  readonly #shaper: Shaper;
  readonly #requests = new SlotList<RequestShaping>();
  #limits: readonly BandwidthLimit[] = [];
  #holdersOfRemoved = 0;
  #index: LimitIndex<BandwidthLimit> = new LimitIndex<BandwidthLimit>([], atOnce(indexOf([])));

  /** With `leases` several processes share the budgets. */
  constructor(clock: Clock, leases?: LeasedBuckets) {
    this.#clock = clock;
    this.#leases = leases;
    this.#shaper = new Shaper(clock);
  }

  /** Names of the limits that apply to `subject`. */
  namesFor(subject: Subject): string[] {
    return this.#index.find(subject).map(({ name }) => name);
  }

  open(subject: Subject, quotas: readonly QuotaBudget[], extras: readonly ExtraBucket[] = []): RequestShaping {
    const shaping = new RequestShaping(subject, quotas, extras, this.#shaper);
    this.#bind(shaping);
    this.#requests.add(shaping);
    return shaping;
  }

  /** How many bindings of requests hold buckets, those of limits too that a reload has removed. */
  get holders(): number {
    return this.#limits.reduce((sum, { holders }) => sum + holders, this.#holdersOfRemoved);
  }

  /** Name of the limit that one of its directions waits for. */
  heldBy({ gates, bindings }: RequestShaping): string | undefined {
    const blockedOn = gates.find(({ pending }) => pending !== undefined)?.pending?.blockedOn.bucket;
    return blockedOn && bindings.find(({ limit, key }) => limit.peek(key) === blockedOn)?.limit.name;
  }

  close(shaping: RequestShaping): void {
    if (!this.#requests.delete(shaping)) return;
    shaping.end();
    release(shaping.bindings);
    shaping.limitListener?.onLimited();
  }

  /** New limits, ready to be adopted; those that persist keep what is in their buckets. */
  *prepare(entries: readonly BandwidthOptions[], limitIds: LimitIds): Sliced<{ commit(): void }> {
    const old = new Map(this.#limits.map((limit) => [limit.id, limit]));
    const adopted: { readonly limit: BandwidthLimit; adopt(): void }[] = [];
    for (const options of entries) {
      const { id, name } = limitIds.bandwidth(options);
      const limit = old.get(id) ?? new BandwidthLimit(id, this.#clock, this.#leases);
      const matches = yield* buildMatcher(options.match);
      adopted.push({ limit, adopt: () => limit.adopt(name, options, matches) });
      old.delete(id);
    }
    const index = yield* indexOf(entries);
    return {
      commit: () => {
        for (const { adopt } of adopted) adopt();
        this.#limits = adopted.map(({ limit }) => limit);
        this.#index = new LimitIndex(this.#limits, index);
        this.#rebind();
        for (const limit of old.values()) {
          // None is left, unless a request was never released.
          this.#holdersOfRemoved += limit.holders;
          limit.end();
        }
      },
    };
  }

  /** Computes again when a bucket among the extras can serve, after its rate has changed. */
  onRateChanged(bucket: Bucket): void {
    this.#shaper.replan([bucket]);
  }

  /** Serves the gates that wait in a bucket, after the owner of the limits has granted it bytes. */
  onRefilled(bucket: Bucket): void {
    this.#shaper.onRefilled(bucket);
  }

  /** Sets the rate (bytes per second) of a limit until the next update. `false`: no limit of this name has a rate. */
  setRate(name: string, rate: number): boolean {
    const limit = this.#limits.find((one) => one.name === name);
    if (!limit?.setRate(rate)) return false;
    this.#shaper.replan(limit.buckets());
    return true;
  }

  *describe(): Iterable<BandwidthState> {
    for (const limit of this.#limits) {
      const { per, direction, priority } = limit.options;
      let waiting = 0;
      for (const bucket of limit.buckets()) waiting += bucket.waiting;
      let users = 0;
      for (const { subject } of this.#requests) if (limit.matches(subject)) users++;
      const { name, rate, byteCounter } = limit;
      yield { kind: 'bandwidth', name, per, direction, priority, rate, users, waiting, bytes: byteCounter.bytes };
    }
  }

  stop(): void {
    for (const shaping of this.#requests) this.close(shaping);
    this.#shaper.stop();
  }

  /** Binds every open request to the limits in force. Takes that wait keep their order. */
  #rebind(): void {
    const waiting: { order: number; resume: () => void }[] = [];
    for (const shaping of this.#requests) {
      for (const gate of shaping.gates) {
        const pending = this.#shaper.suspend(gate);
        if (!pending) continue;
        waiting.push({ order: pending.blockedOn.order, resume: () => this.#shaper.resume(gate, pending) });
      }
      const before = shaping.bindings;
      this.#bind(shaping);
      release(before);
      if (!shaping.isIdle) shaping.limitListener?.onLimited();
    }
    waiting.sort((a, b) => a.order - b.order);
    for (const { resume } of waiting) resume();
  }

  #bind(shaping: RequestShaping): void {
    if (this.#limits.length === 0 && shaping.extras.length === 0) return this.#unbind(shaping);
    const applicable = this.#index.find(shaping.subject);
    const bound = applicable.flatMap((limit) => {
      const key = keyOf(limit.options.per, shaping.subject);
      const bucket = limit.hold(key);
      return bucket ? [{ limit, key, bucket }] : [];
    });
    shaping.bindings = bound;
    for (const direction of DIRECTIONS) {
      const gate = shaping[direction];
      const before = gate.entries;
      const extras = shaping.extras.filter((extra) => extra.direction === 'both' || extra.direction === direction);
      const isBackground =
        applicable.some((limit) => limit.isBackground(direction)) ||
        extras.some(({ priority }) => priority === 'background');
      const buckets = [...bound.filter(({ limit }) => limit.concerns(direction)), ...extras].map(
        ({ bucket }) => bucket,
      );
      gate.quotas = shaping.quotas;
      // One bucket that is named twice counts once.
      gate.entries = [...new Set(buckets)].map((bucket) => {
        const entry = before.find((one) => one.bucket === bucket) ?? new BucketEntry(gate, bucket);
        entry.isBackground = isBackground;
        return entry;
      });
    }
  }

  /** As `#bind` where no limit is set, at less cost. */
  #unbind(shaping: RequestShaping): void {
    shaping.bindings = NONE;
    for (const gate of shaping.gates) {
      gate.quotas = shaping.quotas;
      gate.entries = NONE;
    }
  }
}

function release(bindings: readonly Binding[]): void {
  for (const { limit, key } of bindings) limit.release(key);
}
