import { setTimeout as sleep } from 'node:timers/promises';
import { cpuOf } from '../cpu.ts';
import { load, loadThrough } from '../load.ts';
import { type Measurement, type Size, sized } from '../measurement.ts';

/** A proxy on a laptop is seldom warm: what its first requests cost is measured apart. */
const tunnelsOf = (size: Size): number => sized(size, 5_000, 5_000, 50);
const requestsOf = (size: Size): number => sized(size, 12_000, 12_000, 100);
const TUNNELS_AT_ONCE = 64;
const CONNECTIONS = 32;
/** What a process still does after it listens is not the requests'. */
const STARTED_MS = 1_500;

export const coldSetup: Measurement = {
  name: 'cold-setup',
  how: (size) => `cold-setup: as setup, the first ${tunnelsOf(size)} of a fresh process`,
  on: 'fresh',
  metrics: [{ name: 'CONNECT set-up, cold', unit: 'CPU µs each', better: 'lower', digits: 0 }],
  async round(target, size) {
    const { pid, origin } = target;
    await sleep(STARTED_MS);
    const { cpuS, result } = await cpuOf(pid, () =>
      loadThrough(target, 'setup', origin.echo, tunnelsOf(size), TUNNELS_AT_ONCE),
    );
    return { 'CONNECT set-up, cold': (cpuS / (result.count ?? 0)) * 1e6 };
  },
};

export const coldPlain: Measurement = {
  name: 'cold-plain',
  how: (size) => `cold-plain: as plain, the first ${requestsOf(size)} of a fresh process`,
  on: 'fresh',
  metrics: [{ name: 'small plain request, cold', unit: 'CPU µs each', better: 'lower', digits: 0 }],
  async round({ peer, pid, port, origin }, size) {
    if (peer.speaks === 'relay') return {};
    await sleep(STARTED_MS);
    const { cpuS, result } = await cpuOf(pid, () => load('plain', port, origin.http, requestsOf(size), CONNECTIONS));
    return { 'small plain request, cold': (cpuS / (result.count ?? 0)) * 1e6 };
  },
};
