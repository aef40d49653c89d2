import { cpuOf } from '../cpu.ts';
import { load } from '../load.ts';
import { type Measurement, type Size, sized } from '../measurement.ts';

const countOf = (size: Size): number => sized(size, 40_000, 15_000, 100);
const CONNECTIONS = 32;

export const plain: Measurement = {
  name: 'plain',
  how: (size) =>
    `plain: ${countOf(size)} GETs answered with 64 bytes, on ${CONNECTIONS} connections that are kept where the proxy keeps them`,
  on: 'shared',
  metrics: [
    { name: 'small plain request', unit: 'CPU µs each', better: 'lower', digits: 0 },
    { name: 'small plain requests', unit: 'per second', better: 'higher', digits: 0 },
  ],
  warmUp: async ({ peer, port, origin }, size) =>
    peer.speaks === 'relay' ? undefined : await load('plain', port, origin.http, countOf(size) / 2, CONNECTIONS),
  async round({ peer, pid, port, origin }, size) {
    if (peer.speaks === 'relay') return {};
    const { cpuS, result } = await cpuOf(pid, () => load('plain', port, origin.http, countOf(size), CONNECTIONS));
    const { count = 0, seconds = 0 } = result;
    return { 'small plain request': (cpuS / count) * 1e6, 'small plain requests': count / seconds };
  },
};
