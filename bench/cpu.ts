import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds } from './process-tree.ts';

/** What a proxy does behind the last byte (closing, logging) belongs to the request that caused it. */
const SETTLE_MS = 150;

/** CPU seconds that a proxy uses for `work`, and what the work gave. */
export async function cpuOf<T>(pid: number, work: () => Promise<T>): Promise<{ cpuS: number; result: T }> {
  await sleep(SETTLE_MS);
  const before = cpuSeconds(pid);
  const result = await work();
  await sleep(SETTLE_MS);
  return { cpuS: cpuSeconds(pid) - before, result };
}
