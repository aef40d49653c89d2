import { cpuOf } from '../cpu.ts';
import { loadThrough } from '../load.ts';
import { type Measurement, type Size, sized } from '../measurement.ts';

const countOf = (size: Size): number => sized(size, 20_000, 8_000, 50);
const AT_ONCE = 64;

export const setup: Measurement = {
  name: 'setup',
  how: (size) =>
    `setup: ${countOf(size)} times connect, CONNECT, one byte each way, close; ${AT_ONCE} at once, another as soon as one is done`,
  on: 'shared',
  metrics: [
    { name: 'CONNECT set-up', unit: 'CPU µs each', better: 'lower', digits: 0 },
    { name: 'CONNECT set-ups', unit: 'per second', better: 'higher', digits: 0 },
  ],
  warmUp: (target, size) => loadThrough(target, 'setup', target.origin.echo, countOf(size) / 2, AT_ONCE),
  async round(target, size) {
    const { pid, origin } = target;
    const { cpuS, result } = await cpuOf(pid, () => loadThrough(target, 'setup', origin.echo, countOf(size), AT_ONCE));
    const { count = 0, seconds = 0 } = result;
    return { 'CONNECT set-up': (cpuS / count) * 1e6, 'CONNECT set-ups': count / seconds };
  },
};
