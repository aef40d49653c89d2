import { type Instance, startInstance } from './instance.ts';
import type { Origin } from './load.ts';
import type { Measurement, Size } from './measurement.ts';
import type { Peer } from './peer.ts';

/** Values of one metric, one a round. */
export type Series = readonly number[];
/** By peer, then by metric. */
export type Results = Map<string, Map<string, number[]>>;

export interface RoundsOptions {
  readonly size: Size;
  readonly rounds: number;
  readonly measurements: readonly Measurement[];
  readonly origin: Origin;
  readonly log: (line: string) => void;
}

/**
 * Runs every measurement in rounds, and in each round every peer once, beginning with another one each time, so that other
 * load on the machine affects all of them alike. The failure of a peer is logged, and ends that measurement for it.
 */
export async function runRounds(instances: readonly Instance[], options: RoundsOptions): Promise<Results> {
  const results: Results = new Map(instances.map(({ peer }) => [peer.name, new Map()]));
  for (const measurement of options.measurements) {
    const failed = new Set<Peer>();
    if (measurement.warmUp !== undefined && measurement.on === 'shared') {
      for (const instance of instances) {
        await attempt(instance.peer, () => measurement.warmUp?.({ ...instance, origin: options.origin }, options.size));
      }
    }
    for (let round = 0; round < options.rounds; round++) {
      options.log(`${measurement.name}: round ${round + 1} of ${options.rounds}`);
      const first = round % Math.max(instances.length, 1);
      for (const instance of [...instances.slice(first), ...instances.slice(0, first)]) {
        await attempt(instance.peer, () => measure(instance));
      }
    }

    async function measure(instance: Instance): Promise<void> {
      const values = await onInstance(measurement, instance, options);
      for (const { name } of measurement.metrics) {
        const value = values[name];
        if (value !== undefined) keep(results, instance.peer.name, name, value);
      }
    }

    /** After one failure a peer is left out: one that hangs once would hang in every round. */
    async function attempt(peer: Peer, work: () => Promise<unknown> | undefined): Promise<void> {
      if (failed.has(peer)) return;
      try {
        await work();
      } catch (error) {
        failed.add(peer);
        options.log(`${measurement.name}: ${peer.name} failed: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
  return results;
}

async function onInstance(measurement: Measurement, shared: Instance, { size, origin }: RoundsOptions) {
  if (measurement.on === 'shared') return await measurement.round({ ...shared, origin }, size);
  await using fresh = await startInstance(shared.peer);
  return await measurement.round({ ...fresh, origin }, size);
}

function keep(results: Results, peer: string, metric: string, value: number): void {
  const ofPeer = results.get(peer) ?? new Map<string, number[]>();
  results.set(peer, ofPeer);
  ofPeer.set(metric, [...(ofPeer.get(metric) ?? []), value]);
}
