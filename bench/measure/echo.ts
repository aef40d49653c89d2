import { setTimeout as sleep } from 'node:timers/promises';
import { loadThrough, startLoadThrough } from '../load.ts';
import { type Measurement, type Size, sized, type Target } from '../measurement.ts';

const secondsOf = (size: Size): number => sized(size, 4, 2, 1);
const roundTripsOf = (size: Size): number => sized(size, 100_000, 20_000, 50);
const GREEDY = 4;
/** More than any proxy moves during the measurement: the downloads are aborted, they do not end. */
const GREEDY_BYTES = 1e12;
/** The downloads have reached their rate after this. */
const GREEDY_MS = 300;

export const echo: Measurement = {
  name: 'echo',
  how: (size) =>
    `echo: 64 bytes there and back through open tunnels, at most ${roundTripsOf(size)} times or ${secondsOf(size)} s; alone, in 50 tunnels at once, and in one while ${GREEDY} others download as fast as they can, from another process than the one that echoes`,
  on: 'shared',
  metrics: [
    { name: 'echo, median', unit: 'ms', better: 'lower', digits: 3 },
    { name: 'echo, p99', unit: 'ms', better: 'lower', digits: 3 },
    { name: 'echo in 50 tunnels, median', unit: 'ms', better: 'lower', digits: 2 },
    { name: 'echo in 50 tunnels, p99', unit: 'ms', better: 'lower', digits: 2 },
    { name: `echo beside ${GREEDY} downloads, median`, unit: 'ms', better: 'lower', digits: 2 },
    { name: `echo beside ${GREEDY} downloads, p99`, unit: 'ms', better: 'lower', digits: 2 },
  ],
  warmUp: (target) => pingPong(target, 50, 'tiny'),
  async round(target, size) {
    const alone = await pingPong(target, 1, size);
    const many = await pingPong(target, 50, size);
    using _downloads = startLoadThrough(target, 'down', target.origin.source, GREEDY, GREEDY_BYTES);
    await sleep(GREEDY_MS);
    const beside = await pingPong(target, 1, size);
    return {
      'echo, median': alone.medianMs,
      'echo, p99': alone.p99Ms,
      'echo in 50 tunnels, median': many.medianMs,
      'echo in 50 tunnels, p99': many.p99Ms,
      [`echo beside ${GREEDY} downloads, median`]: beside.medianMs,
      [`echo beside ${GREEDY} downloads, p99`]: beside.p99Ms,
    };
  },
};

async function pingPong(target: Target, tunnels: number, size: Size) {
  const counted = await loadThrough(target, 'echo', target.origin.echo, tunnels, roundTripsOf(size), secondsOf(size));
  const { medianMs = 0, p99Ms = 0 } = counted;
  return { medianMs, p99Ms };
}
