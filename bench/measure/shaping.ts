import { setTimeout as sleep } from 'node:timers/promises';
import type { ConfigInput } from '../../src/config/schema.ts';
import { jain } from '../../test/support/gate-consumers.ts';
import { arrived, counting, median, roundTrips, TrafficOrigin, tunnel } from '../../test/support/traffic.ts';
import { startInstance } from '../instance.ts';
import { type Measurement, type Size, sized } from '../measurement.ts';
import type { Peer } from '../peer.ts';
import { viaduct, viaductOf } from '../peers/viaduct.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

const windowMsOf = (size: Size): number => sized(size, 10_000, 5_000, 500);
const roundTripsOf = (size: Size): number => sized(size, 300, 150, 10);
/** After this the burst is spent, and every tunnel has reached its rate. */
const BEGUN_MS = 1_000;

/** Rates and numbers of tunnels for which the accuracy is measured. */
const EXACT = [
  { name: '64 KiB/s, 1 tunnel', rate: 64 * KIB, tunnels: 1 },
  { name: '1 MiB/s, 500 tunnels', rate: MIB, tunnels: 500 },
  { name: '100 MiB/s, 1 tunnel', rate: 100 * MIB, tunnels: 1 },
  { name: '100 MiB/s, 200 tunnels', rate: 100 * MIB, tunnels: 200 },
] as const;

/** Only Viaduct has such limits, so only Viaduct is measured. */
export const shaping: Measurement = {
  name: 'shaping',
  how: (size) =>
    `shaping: downloads under one limit, counted for ${windowMsOf(size) / 1000} s after the burst has gone; ${roundTripsOf(size)} echoes of 64 bytes beside 16 downloads under 512 KiB/s, which are normal or background traffic`,
  on: 'shared',
  metrics: [
    ...EXACT.map(({ name }) => ({ name: `achieved of ${name}`, unit: '%', better: 'higher', digits: 2 }) as const),
    { name: "Jain's index, 500 tunnels", unit: '', better: 'higher', digits: 4 },
    { name: "Jain's index, 200 tunnels", unit: '', better: 'higher', digits: 4 },
    { name: 'echo under 512 KiB/s, alone', unit: 'ms', better: 'lower', digits: 2 },
    { name: 'echo beside 16 downloads', unit: 'ms', better: 'lower', digits: 2 },
    { name: 'echo beside 16 downloads in the background', unit: 'ms', better: 'lower', digits: 2 },
  ],
  async round({ peer }, size) {
    if (peer.name !== viaduct.name) return {};
    const exact: Record<string, number> = {};
    for (const { name, rate, tunnels } of EXACT) {
      const { part, index } = await share(rate, tunnels, windowMsOf(size));
      exact[`achieved of ${name}`] = part * 100;
      if (tunnels > 1) exact[`Jain's index, ${tunnels} tunnels`] = index;
    }
    return {
      ...exact,
      'echo under 512 KiB/s, alone': await echoBeside('nothing', size),
      'echo beside 16 downloads': await echoBeside('normal', size),
      'echo beside 16 downloads in the background': await echoBeside('background', size),
    };
  },
};

const limited = (limits: ConfigInput['limits']): Peer => viaductOf({ limits });

async function share(rate: number, tunnels: number, windowMs: number): Promise<{ part: number; index: number }> {
  await using proxy = await startInstance(limited({ bandwidth: { rate } }));
  await using origin = await TrafficOrigin.listen();
  const opened = await Promise.all(Array.from({ length: tunnels }, () => tunnel(proxy.port, origin, 'flood 65536')));
  const all = opened.map((one) => counting(one).down);
  await sleep(BEGUN_MS);
  const fromMs = performance.now();
  await sleep(windowMs);
  const toMs = performance.now();
  for (const one of opened) one.socket.destroy();
  return {
    part: arrived(all, fromMs, toMs) / ((rate * (toMs - fromMs)) / 1000),
    index: jain(all.map((one) => arrived([one], fromMs, toMs))),
  };
}

async function echoBeside(downloads: 'nothing' | 'normal' | 'background', size: Size): Promise<number> {
  await using origin = await TrafficOrigin.listen();
  await using bulk = await TrafficOrigin.listen();
  const match = { ports: [bulk.port] };
  const background = downloads === 'background' ? [{ match, priority: downloads }] : [];
  await using proxy = await startInstance(limited({ bandwidth: [{ rate: '512KiB' }, ...background] }));
  const count = downloads === 'nothing' ? 0 : 16;
  const greedy = await Promise.all(Array.from({ length: count }, () => tunnel(proxy.port, bulk, 'flood 65536')));
  for (const one of greedy) counting(one);
  await sleep(BEGUN_MS);
  const times = await roundTrips(await tunnel(proxy.port, origin, 'echo'), roundTripsOf(size));
  for (const one of greedy) one.socket.destroy();
  return median(times);
}
