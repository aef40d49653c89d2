import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds } from './process-tree.ts';

/** After the last byte a proxy still closes connections and logs: that work belongs to the requests. */
const SETTLE_MS = 150;

/** CPU seconds that a proxy uses for `work`, and the result of the work. */
export async function cpuOf<T>(pid: number, work: () => Promise<T>): Promise<{ cpuS: number; result: T }> {
  await sleep(SETTLE_MS);
  const before = cpuSeconds(pid);
  const result = await work();
  await sleep(SETTLE_MS);
  return { cpuS: cpuSeconds(pid) - before, result };
}
