import { setTimeout as sleep } from 'node:timers/promises';
import { loadThrough, startLoadThrough } from '../load.ts';
import { type Measurement, type Size, sized } from '../measurement.ts';
import { pssKib } from '../process-tree.ts';

const countOf = (size: Size): number => sized(size, 2_000, 1_000, 20);
const AT_ONCE = 64;
/** Garbage collector and allocator need a moment to release memory that opening tunnels took. */
const settleMsOf = (size: Size): number => sized(size, 3_000, 1_500, 50);

export const idle: Measurement = {
  name: 'idle',
  how: (size) =>
    `idle: PSS of all processes of a fresh proxy, ${settleMsOf(size) / 1000} s after opening ${countOf(size)} tunnels with one byte each way, less the PSS before`,
  on: 'fresh',
  metrics: [
    { name: 'memory per idle tunnel', unit: 'KiB', better: 'lower', digits: 1 },
    { name: 'memory before', unit: 'MiB', better: 'lower', digits: 1 },
  ],
  async round(target, size) {
    const { pid, origin } = target;
    // Code that the first tunnels load and compile must not count as memory of a tunnel.
    await loadThrough(target, 'setup', origin.echo, countOf(size) / 10, AT_ONCE / 8);
    await sleep(settleMsOf(size));
    const before = pssKib(pid);
    using holding = startLoadThrough(target, 'idle', origin.echo, countOf(size), AT_ONCE);
    await holding.counted;
    await sleep(settleMsOf(size));
    const after = pssKib(pid);
    await holding.release();
    return { 'memory per idle tunnel': (after - before) / countOf(size), 'memory before': before / 1024 };
  },
};
