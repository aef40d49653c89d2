import type { Origin } from './load.ts';
import type { Peer } from './peer.ts';

/** What is measured of every proxy. One file in `measure/` each, and one line in `measure/all.ts`. */
export interface Measurement {
  /** The value for `--only`. */
  readonly name: string;
  /** The procedure with its counts, for the text below the table. */
  readonly how: (size: Size) => string;
  readonly metrics: readonly Metric[];
  /** `fresh`: every round starts a new proxy, which figures of memory need. */
  readonly on: 'shared' | 'fresh';
  /** A short run before the first round, to warm up compiler, caches and pools. Its figures are dropped. */
  warmUp?(target: Target, size: Size): Promise<unknown>;
  /** One round; returns a value for each metric, by its name. */
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

/** Amount of work: `full` for figures to publish, `quick` for an estimate, `tiny` to test that it works. */
export type Size = 'full' | 'quick' | 'tiny';

export const sized = (size: Size, full: number, quick: number, tiny: number): number =>
  size === 'full' ? full : size === 'quick' ? quick : tiny;
