import { cpuOf } from '../cpu.ts';
import { loadThrough } from '../load.ts';
import { type Measurement, type Size, sized, type Target } from '../measurement.ts';

const bytesOf = (size: Size): number => sized(size, 4e9, 1.5e9, 4e6);

export const bulk: Measurement = {
  name: 'bulk',
  how: (size) => `bulk: ${bytesOf(size) / 1e6} MB in all per round, down through 1 and 16 tunnels, up through 1`,
  on: 'shared',
  metrics: [
    { name: 'download, 1 tunnel', unit: 'CPU-s/GB', better: 'lower', digits: 2 },
    { name: 'download, 16 tunnels', unit: 'CPU-s/GB', better: 'lower', digits: 2 },
    { name: 'upload, 1 tunnel', unit: 'CPU-s/GB', better: 'lower', digits: 2 },
    { name: 'download rate, 1 tunnel', unit: 'GB/s', better: 'higher', digits: 2 },
    { name: 'download rate, 16 tunnels', unit: 'GB/s', better: 'higher', digits: 2 },
    { name: 'upload rate, 1 tunnel', unit: 'GB/s', better: 'higher', digits: 2 },
  ],
  warmUp: (target, size) => transfer(target, 'down', 1, bytesOf(size) / 4),
  async round(target, size) {
    const one = await transfer(target, 'down', 1, bytesOf(size));
    const many = await transfer(target, 'down', 16, bytesOf(size));
    const up = await transfer(target, 'up', 1, bytesOf(size));
    return {
      'download, 1 tunnel': one.cpuPerGb,
      'download, 16 tunnels': many.cpuPerGb,
      'upload, 1 tunnel': up.cpuPerGb,
      'download rate, 1 tunnel': one.gbPerS,
      'download rate, 16 tunnels': many.gbPerS,
      'upload rate, 1 tunnel': up.gbPerS,
    };
  },
};

async function transfer(target: Target, way: 'up' | 'down', tunnels: number, bytes: number) {
  const { pid, origin } = target;
  const far = way === 'up' ? origin.sink : origin.source;
  const each = Math.floor(bytes / tunnels);
  const { cpuS, result } = await cpuOf(pid, () => loadThrough(target, way, far, tunnels, each));
  const { bytes: moved = 0, seconds = 0 } = result;
  return { cpuPerGb: cpuS / (moved / 1e9), gbPerS: moved / 1e9 / seconds };
}
