/**
 * `npm run fleet`: HAProxy, three Viaducts, Redis, nginx and Prometheus on loopback, by the files of deploy/fleet/. Without a
 * word it runs until Ctrl-C.
 *
 *   npm run fleet -- [restart | kill] [--store redis|local] [--seconds N] [--rate N] [--tunnels N] [--drain T] [--drain-delay T]
 *
 * `restart`: restarts all instances, one after another, under a load of CONNECTs and long tunnels, and reports what was lost.
 * `kill`: the same, with one instance that is killed.
 */
import { parseArgs } from 'node:util';
import { build, isStale } from './build.ts';
import { type DrillReport, killOne, rollingRestart } from './fleet/drills.ts';
import { Fleet } from './fleet/fleet.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    store: { type: 'string', default: 'redis' },
    seconds: { type: 'string', default: '60' },
    rate: { type: 'string', default: '200' },
    tunnels: { type: 'string', default: '100' },
    drain: { type: 'string', default: '10s' },
    'drain-delay': { type: 'string', default: '3s' },
  },
});

function report({
  served,
  failures,
  tunnels,
  ended,
  refused,
  codes,
  changes,
  redispatched,
  withoutInstance,
}: DrillReport): number {
  const early = ended.filter(({ afterMs }) => afterMs === undefined);
  const shortest = Math.min(...ended.flatMap(({ afterMs }) => afterMs ?? []));
  const lines = [
    `requests: ${served} served, ${failures.length} failed`,
    ...failures.slice(0, 20).map(({ instance, why }) => `  ${instance}: ${why}`),
    `long tunnels: ${tunnels} opened, ${ended.length} ended with their instance${ended.length > 0 ? ` (the first ${(shortest / 1000).toFixed(1)} s after it was stopped)` : ''}, ${early.length} otherwise, ${refused.length} not opened`,
    `exit codes: ${codes.join(', ') || 'none'}`,
    `HAProxy's log: ${redispatched} connections went to another instance, ${withoutInstance} to none; ${changes.join(', ')}`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  return early.length + refused.length;
}

async function main(): Promise<number> {
  const [drill] = positionals;
  if (isStale() && build() !== 0) return 1;
  await using fleet = await Fleet.start({
    store: values.store === 'local' ? 'local' : 'redis',
    drain: values.drain,
    drainDelay: values['drain-delay'],
  });
  const { proxy, prometheus, originTls, folder, secrets } = fleet.places;
  const lines = [
    `proxy:       http://127.0.0.1:${proxy} (HAProxy)`,
    ...fleet.instances.map(({ name, adminPort }) => `${name}:    https://127.0.0.1:${adminPort} (dashboard)`),
    `prometheus:  http://127.0.0.1:${prometheus}`,
    `logs:        ${folder}`,
    `try:         curl -x http://127.0.0.1:${proxy} --cacert ${secrets}/origin.pem https://127.0.0.1:${originTls}/`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  const options = {
    perSecond: Number(values.rate),
    tunnels: Number(values.tunnels),
    seconds: Number(values.seconds),
  };
  if (drill === 'kill') return report(await killOne(fleet, options));
  if (drill === 'restart') {
    const result = await rollingRestart(fleet, options);
    return report(result) + result.failures.length;
  }
  await new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve);
  });
  return 0;
}

process.exitCode = Math.min(1, await main());
