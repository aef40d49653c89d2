import type { Fleet, Instance } from './fleet.ts';
import { type LoggedClient, serverOf, sessionsIn } from './haproxy.ts';
import { type Failure, LongTunnels, SteadyLoad } from './load.ts';
import { waitUntil } from './program.ts';

export interface DrillOptions {
  /** CONNECTs a second. */
  readonly perSecond: number;
  /** Long tunnels that are open all the time. */
  readonly tunnels: number;
  /** At least so long. */
  readonly seconds: number;
}

/** A long tunnel that ended while the drill went on, and the instance that had it by HAProxy's log. */
export interface EndedTunnel {
  readonly instance: string;
  /** After its instance was stopped or killed; `undefined`: it was neither. */
  readonly afterMs: number | undefined;
}

export interface DrillReport {
  readonly served: number;
  /** With the instance that had the request, by HAProxy's log. */
  readonly failures: readonly (Failure & { readonly instance: string })[];
  readonly tunnels: number;
  readonly ended: readonly EndedTunnel[];
  /** Tunnels that were opened again and got no 200. */
  readonly refused: readonly string[];
  /** Exit codes of the instances that were stopped. */
  readonly codes: readonly (number | null)[];
  /** Connections that HAProxy gave to another instance after one had refused them, and those that none has taken. */
  readonly redispatched: number;
  readonly withoutInstance: number;
  /** What HAProxy's log says of instances: `DOWN`, `UP`. */
  readonly changes: readonly string[];
}

type Act = (instance: Instance) => Promise<{ readonly stoppedMs: number; readonly code?: number | null }>;

/** Restarts all instances, one after another, under load. */
export function rollingRestart(fleet: Fleet, options: DrillOptions): Promise<DrillReport> {
  return drill(fleet, options, fleet.instances, (instance) => instance.restart());
}

/** Kills one instance under load, and starts it again. */
export function killOne(fleet: Fleet, options: DrillOptions): Promise<DrillReport> {
  return drill(fleet, options, fleet.instances.slice(1, 2), async (instance) => {
    const stoppedMs = performance.now();
    await instance.kill();
    await instance.start();
    await instance.seen();
    return { stoppedMs };
  });
}

/** A line of HAProxy's log that a session has ended comes a moment after the client has seen the end. */
const LOGGED_MS = 10_000;

async function drill(
  fleet: Fleet,
  { perSecond, tunnels: count, seconds }: DrillOptions,
  instances: readonly Instance[],
  act: Act,
): Promise<DrillReport> {
  const { proxy: proxyPort, origin: originPort, echo } = fleet.places;
  const startedMs = performance.now();
  const before = fleet.haproxy.log().length;
  await using tunnels = await LongTunnels.open(proxyPort, echo, count);
  const load = new SteadyLoad({ proxyPort, originPort, perSecond });
  const stops = new Map<string, number>();
  const codes: (number | null)[] = [];
  try {
    for (const instance of instances) {
      const { stoppedMs, code } = await act(instance);
      stops.set(instance.name, stoppedMs);
      if (code !== undefined) codes.push(code);
    }
    await waitUntil(() => performance.now() - startedMs > seconds * 1000, seconds * 1000 + 1);
  } finally {
    await load.stop();
  }
  const ended = tunnels.all.filter(({ endedMs }) => endedMs !== undefined);
  const log = () => fleet.haproxy.log().slice(before);
  const logged = () => sessionsIn(log());
  const clients = [...ended, ...load.failures];
  await waitUntil(() => {
    const sessions = logged();
    return clients.every((client) => serverOf(sessions, client) !== undefined);
  }, LOGGED_MS);
  const sessions = logged();
  const instanceOf = (client: LoggedClient): string => serverOf(sessions, client) ?? 'unknown';
  return {
    served: load.served,
    failures: load.failures.map((failure) => ({ ...failure, instance: instanceOf(failure) })),
    tunnels: tunnels.all.length,
    ended: ended.map((tunnel) => {
      const { endedMs = 0 } = tunnel;
      const instance = instanceOf(tunnel);
      const stoppedMs = stops.get(instance);
      return { instance, afterMs: stoppedMs === undefined ? undefined : endedMs - stoppedMs };
    }),
    refused: tunnels.refused,
    codes,
    redispatched: sessions.filter(({ retries }) => retries.startsWith('+')).length,
    withoutInstance: sessions.filter(({ server }) => server === '<NOSRV>').length,
    changes: [...log().matchAll(/^Server viaduct\/(\S+) is (UP|DOWN)/gm)].map(([, name, state]) => `${name} ${state}`),
  };
}
