import type { Origin } from './load.ts';
import type { Peer } from './peer.ts';

/** Something that is measured of every proxy. One file in `measure/` each, and one line in `measure/all.ts`. */
export interface Measurement {
  /** As `--only` takes it. */
  readonly name: string;
  /** What is done, with its counts; stands below the table. */
  readonly how: (size: Size) => string;
  readonly metrics: readonly Metric[];
  /** `fresh`: every round gets a proxy that has done nothing else, as figures of memory need. */
  readonly on: 'shared' | 'fresh';
  /** A short run before the first round, for what warms up: a compiler, a cache, a pool. Its figures are dropped. */
  warmUp?(target: Target, size: Size): Promise<unknown>;
  /** One round; gives a value for each metric, by its name. */
  round(target: Target, size: Size): Promise<Readonly<Record<string, number>>>;
}

export interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly better: 'lower' | 'higher';
  /** Digits behind the point. */
  readonly digits: number;
}

/** The proxy under load, and the origin behind it. */
export interface Target {
  readonly peer: Peer;
  readonly pid: number;
  readonly port: number;
  readonly origin: Origin;
}

/** How much is done: `full` for figures to publish, `quick` to see where one stands, `tiny` to see that it works. */
export type Size = 'full' | 'quick' | 'tiny';

export const sized = (size: Size, full: number, quick: number, tiny: number): number =>
  size === 'full' ? full : size === 'quick' ? quick : tiny;
