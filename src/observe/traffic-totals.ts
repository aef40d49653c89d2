import type { Exporter, ProxyEvent } from '../contracts/event.ts';
import type { ProxyRecord } from '../contracts/record.ts';
import type { Clock } from '../util/clock.ts';
import { routeText } from './record-text.ts';

export const TOTALS_BY = ['client', 'user', 'host', 'route'] as const;
export type TotalsBy = (typeof TOTALS_BY)[number];
export const TOTALS_WINDOWS = ['hour', 'day'] as const;
export type TotalsWindow = (typeof TOTALS_WINDOWS)[number];

/** What requests with one key have done in a window. */
export interface Total {
  /** `undefined`: all that found no place among the keys. */
  readonly key: string | undefined;
  readonly requests: number;
  readonly failures: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

const PERIOD_MS = 300_000;
const PERIODS_OF_HOUR = 12;
const HOUR_MS = 3_600_000;
const HOURS_OF_DAY = 24;
/** Keys of each kind in one period; the rest is counted together, so that clients cannot make it grow. */
const KEYS_MAX = 250;

type Sums = { -readonly [name in Exclude<keyof Total, 'key'>]: number };
/** By key; `undefined`: the rest. */
type Period = Readonly<Record<TotalsBy, Map<string | undefined, Sums>>>;

const newPeriod = (): Period => ({ client: new Map(), user: new Map(), host: new Map(), route: new Map() });

/** Totals of the last hour, in periods of five minutes, and of the last day, in hours. Disposing ends its timer. */
export class TrafficTotals implements Exporter {
  readonly name = 'totals';
  readonly only = ['close'] as const;
  readonly #clock: Clock;
  /** Of requests in progress: their bytes count when they move, not when the request ends. */
  #inProgress: () => Iterable<{ readonly record: ProxyRecord }> = () => [];
  #counted = new Map<string, { readonly up: number; readonly down: number }>();
  #now = newPeriod();
  #startedMs: number;
  /** Periods that are over, the latest last. */
  #periods: readonly { readonly startedMs: number; readonly of: Period }[] = [];
  #hours: readonly { readonly startedMs: number; readonly of: Period }[] = [];
  #timer: Disposable | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedMs = clock.now();
  }

  readonly observe = (event: ProxyEvent): void => {
    if (event.type !== 'close') return;
    const { record } = event;
    this.#add(record, { requests: 1, failures: record.failure === undefined ? 0 : 1, ...this.#newBytesOf(record) });
    // Mostly empty, and then to look for an id would cost what counting it costs.
    if (this.#counted.size > 0) this.#counted.delete(record.id);
  };

  /** From now on the bytes of these are counted as they move. */
  follow(inProgress: () => Iterable<{ readonly record: ProxyRecord }>): void {
    this.#inProgress = inProgress;
    this.#schedule();
  }

  /** The most bytes first. */
  read(by: TotalsBy, window: TotalsWindow): Total[] {
    this.#countInProgress();
    this.#advance();
    const nowMs = this.#clock.now();
    const [kept, spanMs] = window === 'hour' ? [this.#periods, HOUR_MS] : [this.#hours, HOURS_OF_DAY * HOUR_MS];
    const periods = [this.#now, ...kept.filter(({ startedMs }) => nowMs - startedMs < spanMs).map(({ of }) => of)];
    return sumOfTotals(periods.map((period) => totalsIn(period[by])));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    return Promise.resolve();
  }

  #schedule(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#clock.after(PERIOD_MS, () => {
      this.#countInProgress();
      this.#advance();
      this.#schedule();
    });
  }

  #countInProgress(): void {
    for (const { record } of this.#inProgress()) {
      const { bytesUp, bytesDown } = this.#newBytesOf(record);
      if (bytesUp === 0 && bytesDown === 0) continue;
      this.#add(record, { requests: 0, failures: 0, bytesUp, bytesDown });
      this.#counted.set(record.id, { up: record.bytesUp, down: record.bytesDown });
    }
  }

  #newBytesOf({ id, bytesUp, bytesDown }: ProxyRecord): Pick<Sums, 'bytesUp' | 'bytesDown'> {
    const before = this.#counted.size === 0 ? undefined : this.#counted.get(id);
    return { bytesUp: bytesUp - (before?.up ?? 0), bytesDown: bytesDown - (before?.down ?? 0) };
  }

  #add({ client, principal, target, route }: ProxyRecord, sums: Sums): void {
    addTo(this.#now.client, client.address, sums);
    if (principal !== undefined && principal !== '') addTo(this.#now.user, principal, sums);
    if (target !== undefined) addTo(this.#now.host, target.host, sums);
    if (route !== undefined) addTo(this.#now.route, routeText(route), sums);
  }

  /** Puts a period that is over away. */
  #advance(): void {
    const nowMs = this.#clock.now();
    if (nowMs - this.#startedMs < PERIOD_MS) return;
    const startedMs = this.#startedMs;
    const over = this.#now;
    this.#periods = [...this.#periods, { startedMs, of: over }].slice(-PERIODS_OF_HOUR);
    const last = this.#hours.at(-1);
    if (last === undefined || startedMs - last.startedMs >= HOUR_MS) {
      this.#hours = [...this.#hours, { startedMs, of: newPeriod() }].slice(-HOURS_OF_DAY);
    }
    const hour = this.#hours.at(-1);
    for (const by of TOTALS_BY) {
      for (const [key, sums] of over[by]) if (hour !== undefined) addTo(hour.of[by], key, sums);
    }
    this.#now = newPeriod();
    this.#startedMs = nowMs;
  }
}

function addTo(totals: Map<string | undefined, Sums>, key: string | undefined, sums: Sums): void {
  const known = totals.get(key);
  if (known !== undefined) return increase(known, sums);
  const keys = totals.has(undefined) ? totals.size - 1 : totals.size;
  const rest = keys < KEYS_MAX ? undefined : totals.get(undefined);
  if (rest !== undefined) return increase(rest, sums);
  totals.set(keys < KEYS_MAX ? key : undefined, { ...sums });
}

function increase(total: Sums, { requests, failures, bytesUp, bytesDown }: Sums): void {
  total.requests += requests;
  total.failures += failures;
  total.bytesUp += bytesUp;
  total.bytesDown += bytesDown;
}

const totalsIn = (totals: ReadonlyMap<string | undefined, Sums>): Total[] =>
  Array.from(totals, ([key, sums]) => ({ key, ...sums }));

/** Of several periods or processes, the most bytes first; at most so many keys as one of them may have, and the rest. */
export function sumOfTotals(all: readonly (readonly Total[])[]): Total[] {
  const sums = new Map<string | undefined, Sums>();
  // The largest first, so that they have a place of their own.
  const sorted = all.flat().sort((one, other) => bytesOf(other) - bytesOf(one));
  for (const { key, ...total } of sorted) addTo(sums, key, total);
  return totalsIn(sums).sort((one, other) => bytesOf(other) - bytesOf(one));
}

const bytesOf = ({ bytesUp, bytesDown }: Total): number => bytesUp + bytesDown;
