import type { Clock } from '../core/clock.ts';
import { type Listed, NO_SLOT, Roster } from '../core/roster.ts';
import type { Unheeding } from '../core/stages.ts';
import { Applying } from './applying.ts';
import { BandwidthLimit } from './bandwidth-limit.ts';
import type { Bucket } from './bucket.ts';
import { type Allowance, Flow, Share } from './flow.ts';
import type { ExtraBucket } from './hook.ts';
import type { LeasedBuckets } from './leased-bucket.ts';
import type { Names } from './names.ts';
import type { BandwidthOptions } from './options.ts';
import { Shaper } from './shaper.ts';
import { keyOf, type Subject } from './subject.ts';

export type Direction = 'up' | 'down';
const DIRECTIONS: readonly Direction[] = ['up', 'down'];

/** Where a permit's flows are counted, so that it can be given back. */
interface Binding {
  readonly limit: BandwidthLimit;
  readonly key: string;
}

/** The bandwidth of one request: a gate for each direction. */
export interface Passage extends Listed {
  readonly up: Flow;
  readonly down: Flow;
  readonly subject: Subject;
  /** Quotas count what passes here, too. */
  allowances: readonly Allowance[];
  bindings: readonly Binding[];
  /** Buckets that the limits of the configuration know nothing of. */
  extras: readonly ExtraBucket[];
  /** Told when a flow that was idle is not any more. */
  unheeding?: Unheeding | undefined;
}

export interface BandwidthState {
  readonly kind: 'bandwidth';
  readonly name: string;
  readonly per: BandwidthOptions['per'];
  readonly direction: BandwidthOptions['direction'];
  readonly priority: BandwidthOptions['priority'];
  /** Bytes per second; `undefined` where only the priority is set. */
  readonly rate: number | undefined;
  /** Open requests that it applies to, and directions of them that wait for it now. */
  readonly users: number;
  readonly waiting: number;
  /** Bytes that have passed under it. */
  readonly bytes: number;
}

/** All bandwidth limits and the requests under them. */
export class Bandwidth {
  readonly #clock: Clock;
  readonly #leases: LeasedBuckets | undefined;
  readonly #shaper: Shaper;
  readonly #passages = new Roster<Passage>();
  #limits: readonly BandwidthLimit[] = [];
  #applying: Applying<BandwidthLimit> = new Applying<BandwidthLimit>([]);

  /** With `leases` the budgets of several processes are shared. */
  constructor(clock: Clock, leases?: LeasedBuckets) {
    this.#clock = clock;
    this.#leases = leases;
    this.#shaper = new Shaper(clock);
  }

  /** Names of the limits that concern `subject`. */
  namesFor(subject: Subject): string[] {
    return this.#applying.to(subject).map(({ name }) => name);
  }

  open(subject: Subject, allowances: readonly Allowance[], extras: readonly ExtraBucket[] = []): Passage {
    const passage: Passage = {
      slot: NO_SLOT,
      up: new Flow(this.#shaper),
      down: new Flow(this.#shaper),
      subject,
      allowances,
      bindings: [],
      extras,
    };
    this.#bind(passage);
    this.#passages.add(passage);
    return passage;
  }

  close(passage: Passage): void {
    if (!this.#passages.delete(passage)) return;
    for (const direction of DIRECTIONS) {
      const flow = passage[direction];
      this.#shaper.end(flow);
      flow.shares = [];
      flow.allowances = [];
    }
    release(passage.bindings);
    passage.unheeding?.limited();
  }

  /** Adopts new limits; those that persist keep what is in their buckets, and open requests follow at once. */
  update(entries: readonly BandwidthOptions[], names: Names): void {
    const old = new Map(this.#limits.map((limit) => [limit.id, limit]));
    this.#limits = entries.map((options) => {
      const identity = names.bandwidth(options);
      const limit = old.get(identity.id) ?? new BandwidthLimit(identity.id, this.#clock, this.#leases);
      limit.adopt(identity.name, options);
      old.delete(limit.id);
      return limit;
    });
    this.#applying = new Applying(this.#limits);
    this.#rebind();
    for (const limit of old.values()) limit.end();
  }

  /** Reckons anew when a bucket among the extras can serve, after its pace has changed. */
  repaced(bucket: Bucket): void {
    this.#shaper.replan([bucket]);
  }

  /** Serves those who wait in a bucket, after its owner has filled it. */
  filled(bucket: Bucket): void {
    this.#shaper.filled(bucket);
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
      for (const { subject } of this.#passages) if (limit.isMeant(subject)) users++;
      const { name, rate, tally } = limit;
      yield { kind: 'bandwidth', name, per, direction, priority, rate, users, waiting, bytes: tally.bytes };
    }
  }

  stop(): void {
    for (const passage of this.#passages) this.close(passage);
    this.#shaper.stop();
  }

  /** Judges every open request by the limits of now. Takes that wait keep their order. */
  #rebind(): void {
    const waiting: { flow: Flow; order: number; resume: () => void }[] = [];
    for (const passage of this.#passages) {
      for (const direction of DIRECTIONS) {
        const flow = passage[direction];
        const pending = this.#shaper.suspend(flow);
        if (!pending) continue;
        waiting.push({ flow, order: pending.at.order, resume: () => this.#shaper.resume(flow, pending) });
      }
      const before = passage.bindings;
      this.#bind(passage);
      release(before);
      if (!passage.up.isIdle || !passage.down.isIdle) passage.unheeding?.limited();
    }
    waiting.sort((a, b) => a.order - b.order);
    for (const { resume } of waiting) resume();
  }

  #bind(passage: Passage): void {
    if (this.#limits.length === 0 && passage.extras.length === 0) return this.#unbind(passage);
    const applying = this.#applying.to(passage.subject);
    const bound = applying.flatMap((limit) => {
      const key = keyOf(limit.options.per, passage.subject);
      const bucket = limit.hold(key);
      return bucket ? [{ limit, key, bucket }] : [];
    });
    passage.bindings = bound;
    for (const direction of DIRECTIONS) {
      const flow = passage[direction];
      const before = flow.shares;
      const extras = passage.extras.filter((extra) => extra.direction === 'both' || extra.direction === direction);
      const isBackground =
        applying.some((limit) => limit.isBackground(direction)) ||
        extras.some(({ priority }) => priority === 'background');
      const buckets = [...bound.filter(({ limit }) => limit.concerns(direction)), ...extras].map(
        ({ bucket }) => bucket,
      );
      flow.allowances = passage.allowances;
      // One bucket that is named twice counts once.
      flow.shares = [...new Set(buckets)].map((bucket) => {
        const share = before.find((one) => one.bucket === bucket) ?? new Share(flow, bucket);
        share.isBackground = isBackground;
        return share;
      });
    }
  }

  /** What `#bind` comes to where nothing is limited, which is nearly everywhere. */
  #unbind(passage: Passage): void {
    passage.bindings = NONE;
    for (const direction of DIRECTIONS) {
      passage[direction].allowances = passage.allowances;
      passage[direction].shares = NONE;
    }
  }
}

const NONE: readonly never[] = [];

function release(bindings: readonly Binding[]): void {
  for (const { limit, key } of bindings) limit.release(key);
}
