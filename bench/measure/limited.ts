import type { ConfigInput } from '../../src/config/schema.ts';
import { cpuOf } from '../cpu.ts';
import { startInstance } from '../instance.ts';
import { loadWith } from '../load.ts';
import { type Measurement, type Size, sized, type Target } from '../measurement.ts';
import { hashed } from '../password.ts';
import type { Peer } from '../peer.ts';
import { squid, squidWith } from '../peers/squid.ts';
import { viaduct, viaductOf } from '../peers/viaduct.ts';

const RATE = 100 * 1_048_576;
const TUNNELS = 16;
const bytesOf = (size: Size): number => sized(size, 1.5e9, 0.6e9, 4e6);

/** The user of every CONNECT: a limit per user limits one with a name. */
const LOGIN = `Proxy-Authorization: Basic ${Buffer.from('bench:secret').toString('base64')}`;
const clients = { users: { bench: hashed('secret') } };

const SCOPES = ['proxy', 'client', 'user', 'tunnel'] as const;
const nameOf = (scope: (typeof SCOPES)[number]): string => `download limited per ${scope}`;
const NOT_LIMITED = 'the same without a limit';
const SHARED = `${TUNNELS} downloads under one limit`;

const limitedTo = (limits: ConfigInput['limits']): Peer => viaductOf({ clients, limits });

/** One pool for all (class 1), which Squid fills once a second. */
const delayPool = squidWith(`delay_pools 1
delay_class 1 1
delay_access 1 allow all
delay_parameters 1 ${RATE}/${RATE}
`);

/** By the name of the peer: how it shares one limit among all tunnels. */
const SHARING: ReadonlyMap<string, Peer> = new Map([
  [viaduct.name, limitedTo({ bandwidth: { rate: RATE } })],
  [squid.name, delayPool],
]);

export const limited: Measurement = {
  name: 'limited',
  how: (size) =>
    `limited: ${bytesOf(size) / 1e6} MB at ${RATE / 1_048_576} MiB/s, through one tunnel with a limit of each kind and as fast as it goes without, and through ${TUNNELS} under one limit (a delay pool of class 1 in Squid), after half as many bytes`,
  on: 'shared',
  metrics: [
    ...[...SCOPES.map(nameOf), NOT_LIMITED, SHARED].map(
      (name) => ({ name, unit: 'CPU-s/GB', better: 'lower', digits: 2 }) as const,
    ),
  ],
  async round(target, size) {
    const { name } = target.peer;
    const values: Record<string, number> = {};
    const shared = SHARING.get(name);
    if (shared !== undefined) values[SHARED] = await cpuPerGb(shared, target, TUNNELS, size);
    if (name !== viaduct.name) return values;
    for (const per of SCOPES) {
      values[nameOf(per)] = await cpuPerGb(limitedTo({ bandwidth: { per, rate: RATE } }), target, 1, size);
    }
    values[NOT_LIMITED] = await cpuPerGb(limitedTo({}), target, 1, size);
    return values;
  },
};

async function cpuPerGb(peer: Peer, { origin }: Target, tunnels: number, size: Size): Promise<number> {
  await using proxy = await startInstance(peer);
  const each = bytesOf(size) / tunnels;
  // First so that the burst is spent, and the compiler has optimised: a slow download takes it longer.
  await loadWith(LOGIN, 'down', proxy.port, origin.source, tunnels, Math.floor(each / 2));
  const { cpuS, result } = await cpuOf(proxy.pid, () =>
    loadWith(LOGIN, 'down', proxy.port, origin.source, tunnels, Math.floor(each)),
  );
  return cpuS / ((result.bytes ?? 0) / 1e9);
}
