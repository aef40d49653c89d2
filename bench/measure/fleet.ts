import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRedis } from '../../test/lab/redis.ts';
import { arrived, counting, type Traffic, TrafficOrigin, tunnel } from '../../test/support/traffic.ts';
import { type Instance, startInstance } from '../instance.ts';
import { type Measurement, type Size, sized } from '../measurement.ts';
import { viaduct, viaductOf } from '../peers/viaduct.ts';

const INSTANCES = 3;
const RATE = 20 * 1_048_576;
/** So many limits are busy: the one that binds, and others that every tunnel meets too. */
const LIMITS = 10;
/** The store of a person who watches what becomes of the limits when it is stopped, frozen, flushed or filled. */
const OWN_STORE = 'BENCH_STORE';

const windowMsOf = (size: Size): number => sized(size, 10_000, 4_000, 500);
const movesOf = (size: Size): number => sized(size, 4, 2, 1);
/** The store is new, and a rate has its burst at first. */
const settleMsOf = (size: Size): number => sized(size, 2_500, 2_500, 700);

const EVEN = 'a shared rate, even load';
const UNEVEN = 'a shared rate, uneven load';
const MOVING = 'a shared rate, load that moves';
const CALLS = 'calls of the store by an instance';

/** Only Viaduct shares limits. */
export const fleet: Measurement = {
  name: 'fleet',
  how: (size) =>
    `fleet: what ${INSTANCES} instances deliver together under one limit of ${RATE / 1_048_576} MiB/s that they share through Redis, as a part of it, over ${windowMsOf(size) / 1000} s with 2, 2 and 2 tunnels, with 1, 4 and 10, and over ${movesOf(size)} windows of that length while all load moves from one instance to the next with each; and how often each calls the store with ${LIMITS} busy limits`,
  on: 'shared',
  metrics: [
    { name: EVEN, unit: '% of the rate', better: 'higher', digits: 1 },
    { name: UNEVEN, unit: '% of the rate', better: 'higher', digits: 1 },
    { name: MOVING, unit: '% of the rate', better: 'higher', digits: 1 },
    { name: CALLS, unit: 'a second', better: 'lower', digits: 1 },
  ],
  async round({ peer }, size) {
    if (peer.name !== viaduct.name) return {};
    await using open = new AsyncDisposableStack();
    const given = process.env[OWN_STORE];
    const store = given ?? open.use(await startRedis()).url;
    say(`the store is ${store}; ${OWN_STORE}=redis://… takes another one`);
    const members: Member[] = [];
    for (let n = 0; n < INSTANCES; n++) members.push(open.use(await startMember(store)));
    const origin = open.use(await TrafficOrigin.listen());
    await sleep(settleMsOf(size));
    const callsBefore = await callsOf(members);
    const fromMs = performance.now();
    const even = await steady(members, origin, [2, 2, 2], size);
    const seconds = (performance.now() - fromMs) / 1_000;
    const calls = ((await callsOf(members)) - callsBefore) / INSTANCES / seconds;
    const uneven = await steady(members, origin, [1, 4, 10], size);
    const moving = await movingLoad(members, origin, size);
    return { [EVEN]: even, [UNEVEN]: uneven, [MOVING]: moving, [CALLS]: calls };
  },
};

interface Member extends AsyncDisposable {
  readonly port: number;
  readonly metrics: string;
}

async function startMember(store: string): Promise<Member> {
  const admin = await freePort();
  const bandwidth = Array.from({ length: LIMITS }, (_, at) => ({
    name: `limit-${at}`,
    per: 'proxy' as const,
    rate: at === 0 ? RATE : 2 * RATE + at,
  }));
  const instance: Instance = await startInstance(
    viaductOf({
      limits: { store, storePrefix: `bench-${process.pid}`, bandwidth },
      admin: { listen: `127.0.0.1:${admin}` },
    }),
  );
  return {
    port: instance.port,
    metrics: `http://127.0.0.1:${admin}/metrics`,
    [Symbol.asyncDispose]: () => instance[Symbol.asyncDispose](),
  };
}

/** Percent of the rate, while so many tunnels are open at each instance. */
async function steady(members: readonly Member[], origin: TrafficOrigin, loads: readonly number[], size: Size) {
  using all = await openTunnels(members, origin, loads);
  await sleep(settleMsOf(size));
  return (await watch(all.tunnels, windowMsOf(size), `${loads.join(', ')} tunnels`)) * 100;
}

/** Percent of the rate, while all load is at one instance after another. */
async function movingLoad(members: readonly Member[], origin: TrafficOrigin, size: Size): Promise<number> {
  let [sum, previous] = [0, members.length - 1];
  {
    using _first = await openTunnels(members, origin, [0, 0, 4]);
    await sleep(settleMsOf(size));
  }
  for (let move = 0; move < movesOf(size); move++) {
    const at = (previous + 1) % members.length;
    previous = at;
    using all = await openTunnels(
      members,
      origin,
      members.map((_, one) => (one === at ? 4 : 0)),
    );
    sum += await watch(all.tunnels, windowMsOf(size), `all load at instance ${at + 1}`);
  }
  return (sum / movesOf(size)) * 100;
}

async function openTunnels(members: readonly Member[], origin: TrafficOrigin, loads: readonly number[]) {
  const tunnels: Traffic[] = [];
  for (const [at, { port }] of members.entries()) {
    for (let n = 0; n < (loads[at] ?? 0); n++) tunnels.push(counting(await tunnel(port, origin, 'flood 65536')));
  }
  return {
    tunnels,
    [Symbol.dispose]() {
      for (const { socket } of tunnels) socket.destroy();
    },
  };
}

/** Says each second what arrives, and returns the part of the rate over the whole window. */
async function watch(tunnels: readonly Traffic[], windowMs: number, what: string): Promise<number> {
  const all = tunnels.map(({ down }) => down);
  const startedMs = performance.now();
  const partOf = (fromMs: number, toMs: number) => arrived(all, fromMs, toMs) / ((RATE * (toMs - fromMs)) / 1_000);
  for (let fromMs = startedMs; fromMs - startedMs < windowMs; ) {
    await sleep(Math.min(1_000, windowMs));
    const nowMs = performance.now();
    say(`${what}: ${(partOf(fromMs, nowMs) * 100).toFixed(1)} % of the rate`);
    fromMs = nowMs;
  }
  return partOf(startedMs, performance.now());
}

async function callsOf(members: readonly Member[]): Promise<number> {
  let sum = 0;
  for (const { metrics } of members) {
    const text = await (await fetch(metrics)).text();
    sum += Number(/^viaduct_limit_store_calls_total (\d+)$/m.exec(text)?.[1] ?? 0);
  }
  return sum;
}

const say = (line: string): void => void process.stderr.write(`fleet: ${line}\n`);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
