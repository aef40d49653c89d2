import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { activeRelay } from '../../src/relay/choose-relay.ts';
import { cpuOf } from '../cpu.ts';
import { type Instance, startInstance } from '../instance.ts';
import { load, type Origin, startLoad } from '../load.ts';
import { type Measurement, type Size, sized } from '../measurement.ts';
import { viaduct, viaductOf } from '../peers/viaduct.ts';
import { UPSTREAMS, type UpstreamKind } from '../upstreams.ts';

const bytesOf = (size: Size): number => sized(size, 2e9, 8e8, 4e6);
const WAYS = ['download', 'upload'] as const;
type Way = (typeof WAYS)[number];

const metricOf = (way: Way, { name }: UpstreamKind): string =>
  name === 'direct' ? `${way}, direct` : `${way} through ${name}`;

/** Only Viaduct is measured; the upstream proxies are processes of their own. */
export const upstreams: Measurement = {
  name: 'upstreams',
  how: (size) =>
    `upstreams: ${bytesOf(size) / 1e6} MB through one tunnel, direct and through an upstream proxy: another Viaduct (http, Basic, https, SOCKS5) or Debian's Squid (Digest, NTLM, Kerberos); the CPU of the upstream proxy does not count`,
  on: 'shared',
  metrics: UPSTREAMS.flatMap((kind) =>
    WAYS.map((way) => ({ name: metricOf(way, kind), unit: 'CPU-s/GB', better: 'lower', digits: 2 }) as const),
  ),
  async round({ peer, origin }, size) {
    if (peer.name !== viaduct.name) return {};
    const values: Record<string, number> = {};
    for (const kind of UPSTREAMS) {
      const why = kind.whyNot();
      if (why === false) Object.assign(values, await measure(kind, origin, size));
      else process.stderr.write(`upstreams: ${kind.name} is left out: ${why}\n`);
    }
    return values;
  },
};

async function measure(kind: UpstreamKind, origin: Origin, size: Size): Promise<Record<string, number>> {
  const adminPort = await freePort();
  await using upstream = await kind.start();
  const admin = { listen: `127.0.0.1:${adminPort}` };
  await using proxy = await startInstance(viaductOf({ ...upstream.config, admin }, upstream.environment));
  await assertRelay(kind, proxy, adminPort, origin);
  const values: Record<string, number> = {};
  for (const way of WAYS) {
    await transfer(proxy, way, origin, bytesOf(size) / 4);
    const { cpuS, result } = await cpuOf(proxy.pid, () => transfer(proxy, way, origin, bytesOf(size)));
    values[metricOf(way, kind)] = cpuS / ((result.bytes ?? 0) / 1e9);
  }
  return values;
}

const transfer = ({ port }: Instance, way: Way, { source, sink }: Origin, bytes: number) =>
  way === 'download' ? load('down', port, source, 1, bytes) : load('up', port, sink, 1, bytes);

/** A figure of the other relay would be read as the cost of the upstream proxy. */
async function assertRelay(kind: UpstreamKind, { port }: Instance, adminPort: number, { echo }: Origin): Promise<void> {
  using holding = startLoad('idle', port, echo, 1, 1);
  await holding.counted;
  const metrics = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  const expected = kind.relay === 'native' ? activeRelay('auto') : kind.relay;
  if (!metrics.includes(`viaduct_relay_tunnels{relay="${expected}"} 1\n`)) {
    throw new Error(`a tunnel through ${kind.name} is not moved by the ${expected} relay`);
  }
  await holding.release();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
