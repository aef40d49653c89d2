import { type Instance, startInstance } from './instance.ts';
import type { Origin } from './load.ts';
import type { Measurement, Size } from './measurement.ts';
import type { Peer } from './peer.ts';

/** Values of one metric, one a round. */
export type Series = readonly number[];
/** By peer, then by metric. */
export type Results = Map<string, Map<string, number[]>>;

export interface Course {
  readonly size: Size;
  readonly rounds: number;
  readonly measurements: readonly Measurement[];
  readonly origin: Origin;
  readonly tell: (line: string) => void;
}

/**
 * Runs every measurement in rounds, and in each round every peer once, beginning with another one each time: what else
 * the machine does then hits all of them alike. A peer that fails is told of and goes on with what it can do.
 */
export async function runRounds(instances: readonly Instance[], course: Course): Promise<Results> {
  const results: Results = new Map(instances.map(({ peer }) => [peer.name, new Map()]));
  for (const measurement of course.measurements) {
    const failed = new Set<Peer>();
    if (measurement.warmUp !== undefined && measurement.on === 'shared') {
      for (const instance of instances) {
        await attempt(instance.peer, () => measurement.warmUp?.({ ...instance, origin: course.origin }, course.size));
      }
    }
    for (let round = 0; round < course.rounds; round++) {
      course.tell(`${measurement.name}: round ${round + 1} of ${course.rounds}`);
      const first = round % Math.max(instances.length, 1);
      for (const instance of [...instances.slice(first), ...instances.slice(0, first)]) {
        await attempt(instance.peer, () => once(instance));
      }
    }

    async function once(instance: Instance): Promise<void> {
      const values = await onInstance(measurement, instance, course);
      for (const { name } of measurement.metrics) {
        const value = values[name];
        if (value !== undefined) keep(results, instance.peer.name, name, value);
      }
    }

    /** One failure is enough: whoever hangs once would hang in every round. */
    async function attempt(peer: Peer, work: () => Promise<unknown> | undefined): Promise<void> {
      if (failed.has(peer)) return;
      try {
        await work();
      } catch (error) {
        failed.add(peer);
        course.tell(`${measurement.name}: ${peer.name} failed: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
  return results;
}

async function onInstance(measurement: Measurement, shared: Instance, { size, origin }: Course) {
  if (measurement.on === 'shared') return await measurement.round({ ...shared, origin }, size);
  await using fresh = await startInstance(shared.peer);
  return await measurement.round({ ...fresh, origin }, size);
}

function keep(results: Results, peer: string, metric: string, value: number): void {
  const ofPeer = results.get(peer) ?? new Map<string, number[]>();
  results.set(peer, ofPeer);
  ofPeer.set(metric, [...(ofPeer.get(metric) ?? []), value]);
}
