import { setTimeout as sleep } from 'node:timers/promises';
import type { ConfigInput } from '../../src/config/schema.ts';
import { cpuOf } from '../cpu.ts';
import { startInstance } from '../instance.ts';
import { loadWith, startLoad } from '../load.ts';
import { type Measurement, type Size, sized } from '../measurement.ts';
import { hashed } from '../password.ts';
import { viaduct, viaductOf } from '../peers/viaduct.ts';
import { pssKib } from '../process-tree.ts';

const countOf = (size: Size): number => sized(size, 10_000, 5_000, 20);
const AT_ONCE = 64;

const manyOf = (size: Size): number => sized(size, 10_000, 10_000, 50);
const limitsOf = (size: Size): number => sized(size, 1_000, 1_000, 10);
/** As many as 20,000 descriptors allow, a usual limit of a process. */
const openOf = (size: Size): number => sized(size, 9_000, 9_000, 20);
const fewOf = (size: Size): number => sized(size, 100, 100, 2);
const SETTLE_MS = 1_500;

const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

/** The credentials of one user among many. */
const FIELD = `Proxy-Authorization: Basic ${Buffer.from('user7:secret').toString('base64')}`;

/** Only Viaduct is measured. */
export const growth: Measurement = {
  name: 'growth',
  how: (size) =>
    `growth: CPU of ${countOf(size)} set-ups as above, beside silent tunnels, and with ${manyOf(size)} access rules, ${manyOf(size)} users or ${limitsOf(size)} bandwidth limits for others`,
  on: 'shared',
  metrics: [
    ...['nothing else', '100 open tunnels', '9,000 open tunnels', '10,000 rules', '10,000 users', '1,000 limits'].map(
      (name) => ({ name: `CONNECT set-up with ${name}`, unit: 'CPU µs each', better: 'lower', digits: 0 }) as const,
    ),
    { name: 'memory per tunnel, 9,000 open', unit: 'KiB', better: 'lower', digits: 1 },
  ],
  async round({ peer, origin }, size) {
    if (peer.name !== viaduct.name) return {};
    const rules = range(manyOf(size)).map((at) => ({ name: `rule${at}`, deny: { hosts: [`host${at}.example`] } }));
    const users = Object.fromEntries(range(manyOf(size)).map((at) => [`user${at}`, hashed('secret')]));
    const bandwidth = range(limitsOf(size)).map((at) => ({ rate: '1MiB', match: { hosts: [`host${at}.example`] } }));
    const many = await beside(openOf(size), origin.echo, size);
    return {
      'CONNECT set-up with nothing else': await costOf({}, origin.echo, size),
      'CONNECT set-up with 100 open tunnels': (await beside(fewOf(size), origin.echo, size)).cpuUs,
      'CONNECT set-up with 9,000 open tunnels': many.cpuUs,
      'CONNECT set-up with 10,000 rules': await costOf({ access: [...rules, { default: 'allow' }] }, origin.echo, size),
      'CONNECT set-up with 10,000 users': await costOf({ clients: { users } }, origin.echo, size),
      'CONNECT set-up with 1,000 limits': await costOf({ limits: { bandwidth } }, origin.echo, size),
      'memory per tunnel, 9,000 open': many.kib,
    };
  },
};

async function costOf(config: ConfigInput, echo: number, size: Size): Promise<number> {
  await using proxy = await startInstance(viaductOf(config));
  return await setupUs(proxy, echo, size);
}

async function beside(tunnels: number, echo: number, size: Size): Promise<{ cpuUs: number; kib: number }> {
  await using proxy = await startInstance(viaduct);
  await loadWith(FIELD, 'setup', proxy.port, echo, AT_ONCE, AT_ONCE);
  const before = pssKib(proxy.pid);
  using holding = startLoad('idle', proxy.port, echo, tunnels, AT_ONCE);
  await holding.counted;
  await sleep(size === 'tiny' ? 0 : SETTLE_MS);
  const kib = (pssKib(proxy.pid) - before) / tunnels;
  const cpuUs = await setupUs(proxy, echo, size);
  await holding.release();
  return { cpuUs, kib };
}

/** CPU of one set-up, after a run that lets the compiler optimise. */
async function setupUs({ pid, port }: { pid: number; port: number }, echo: number, size: Size): Promise<number> {
  await loadWith(FIELD, 'setup', port, echo, countOf(size), AT_ONCE);
  const { cpuS, result } = await cpuOf(pid, () => loadWith(FIELD, 'setup', port, echo, countOf(size), AT_ONCE));
  return (cpuS / (result.count ?? 0)) * 1e6;
}
