/**
 * What tunnels of other client protocols cost beside those of a CONNECT: `node bench/client-protocols.ts [--quick]`. Each
 * protocol moves the same bytes in turn, through a proxy of its own. Fails when bulk costs more than 5 % more than HTTP's.
 */
import { build, isStale } from '../scripts/build.ts';
import { cpuOf } from './cpu.ts';
import { type Instance, startInstance } from './instance.ts';
import { buildLoad, loadSpeaking, type Origin, startOrigin, whyNotBuilt } from './load.ts';
import type { Peer } from './peer.ts';
import { viaductListening } from './peers/viaduct.ts';

const PROTOCOLS = ['http', 'socks5', 'proxy-header'] as const;
type Spoken = (typeof PROTOCOLS)[number];
const ROUNDS = 5;
const BULK_RATIO_MAX = 1.05;
const TUNNELS = 16;

interface Cost {
  /** CPU seconds for a gigabyte. */
  readonly bulk: number;
  /** CPU microseconds to open and close a tunnel. */
  readonly setup: number;
}

/** Viaduct with one listener, for clients of this protocol. */
const speaking = (spoken: Spoken): Peer => ({
  ...viaductListening(({ port }) => {
    const url = `${spoken === 'socks5' ? 'socks5' : 'http'}://127.0.0.1:${port}`;
    return spoken === 'proxy-header' ? { url, proxyProtocol: ['127.0.0.1'] } : url;
  }),
  name: `viaduct-${spoken}`,
});

async function measure({ pid, port }: Instance, spoken: Spoken, origin: Origin, size: Size): Promise<Cost> {
  const each = size.bytes / TUNNELS;
  const bulk = await cpuOf(pid, () => loadSpeaking(spoken, 'down', port, origin.source, TUNNELS, each));
  const setup = await cpuOf(pid, () => loadSpeaking(spoken, 'setup', port, origin.echo, size.count, TUNNELS));
  return { bulk: bulk.cpuS / (size.bytes / 1e9), setup: (setup.cpuS / size.count) * 1e6 };
}

interface Size {
  readonly bytes: number;
  readonly count: number;
}

/** Of some rounds the median: other load on the machine disturbs single ones. */
const medianOf = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

async function main(size: Size): Promise<number> {
  const why = whyNotBuilt();
  if (why !== undefined) throw new Error(why);
  if (isStale() && build() !== 0) return 1;
  buildLoad();
  using origin = await startOrigin();
  await using stack = new AsyncDisposableStack();
  const costs = new Map<Spoken, Cost[]>();
  const instances = new Map<Spoken, Instance>();
  for (const spoken of PROTOCOLS) instances.set(spoken, stack.use(await startInstance(speaking(spoken))));
  for (let round = 0; round <= ROUNDS; round++) {
    // In turn from either end: what comes first meets other load than what comes last.
    const order = round % 2 === 0 ? [...instances] : [...instances].toReversed();
    for (const [spoken, instance] of order) {
      const cost = await measure(instance, spoken, origin, size);
      // The first round warms up.
      if (round > 0) costs.set(spoken, [...(costs.get(spoken) ?? []), cost]);
    }
  }
  const medians = PROTOCOLS.map((spoken) => {
    const all = costs.get(spoken) ?? [];
    return { spoken, bulk: medianOf(all.map(({ bulk }) => bulk)), setup: medianOf(all.map(({ setup }) => setup)) };
  });
  const [http = { bulk: 1, setup: 1 }, ...others] = medians;
  for (const { spoken, bulk, setup } of medians) {
    const ratios = `${(bulk / http.bulk).toFixed(2)} and ${(setup / http.setup).toFixed(2)} of HTTP's`;
    process.stdout.write(`${spoken}: ${bulk.toFixed(3)} CPU-s/GB, ${setup.toFixed(0)} µs for a tunnel; ${ratios}\n`);
  }
  return others.every(({ bulk }) => bulk / http.bulk <= BULK_RATIO_MAX) ? 0 : 1;
}

if (import.meta.main) {
  const isQuick = process.argv.includes('--quick');
  process.exitCode = await main(isQuick ? { bytes: 2e9, count: 1_000 } : { bytes: 8e9, count: 5_000 });
}
