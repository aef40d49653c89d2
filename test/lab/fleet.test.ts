/** deploy/fleet/: HAProxy in front of three Viaducts, which are restarted and killed under load. HAProxy's log says who had what. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type DrillReport, killOne, rollingRestart } from '../../scripts/fleet/drills.ts';
import { Fleet } from '../../scripts/fleet/fleet.ts';
import { isLong } from '../support/bulk.ts';
import { rawClient } from '../support/raw-client.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { until } from '../support/until.ts';
import { noLab } from './private.ts';

const skip = noLab() || missing('haproxy', 'nginx', 'prometheus', 'redis-server', 'openssl', 'curl');
/** Long enough for HAProxy to notice on a busy machine: it asks every 0.5 s, and again after 0.2 s. */
const DRAIN_DELAY_MS = 3_000;
const DRAIN_MS = isLong ? 10_000 : 1_000;
const LOAD = isLong ? { perSecond: 200, tunnels: 100, seconds: 60 } : { perSecond: 50, tunnels: 12, seconds: 0 };
const NAMES = ['viaduct1', 'viaduct2', 'viaduct3'];

let fleet: Fleet;
before(async () => {
  if (skip === false)
    fleet = await Fleet.start({
      store: 'redis',
      drain: `${DRAIN_MS}ms`,
      drainDelay: `${DRAIN_DELAY_MS}ms`,
    });
});
after(async () => {
  if (skip === false) await fleet[Symbol.asyncDispose]();
});

/** What the log of an instance says of its stop. */
const logOf = (name: string): string => readFileSync(fleet.log(name), 'utf8');

const failuresOf = ({ failures }: DrillReport): string[] => failures.map(({ instance, why }) => `${instance}: ${why}`);

test('a client behind HAProxy reaches an origin, and Viaduct has its address', { skip }, async () => {
  const { proxy, originTls, secrets } = fleet.places;
  const ca = `${secrets}/origin.pem`;
  const words = ['-sS', '-p', '-x', `http://127.0.0.1:${proxy}`, '--cacert', ca, `https://127.0.0.1:${originTls}/`];
  const { code, out, err } = await run('curl', words);
  assert.deepEqual([code, out, err], [0, 'origin-ok\n', '']);
  const lines = () => NAMES.flatMap((name) => logOf(name).split('\n')).filter((line) => line.includes(`:${originTls}`));
  await until(() => lines().length > 0, 'an instance has logged the tunnel');
  assert.match(lines()[0] ?? '', /"client":"127\.0\.0\.1/);
});

test('a rolling restart of all instances under load loses no request, and cuts no tunnel before its drain time', {
  skip,
}, async () => {
  const report = await rollingRestart(fleet, LOAD);
  assert.deepEqual(failuresOf(report), []);
  assert.ok(report.served > 0);
  assert.deepEqual(report.refused, []);
  assert.equal(report.withoutInstance, 0);
  assert.deepEqual(report.codes, [0, 0, 0]);
  assert.ok(report.ended.length >= LOAD.tunnels, 'every tunnel that was open at the start has ended with its instance');
  const early = report.ended.filter(({ afterMs = 0 }) => afterMs < DRAIN_DELAY_MS + DRAIN_MS);
  assert.deepEqual(early, []);
  // On a busy machine HAProxy may have lost sight of another one for a moment.
  for (const name of NAMES) {
    const changes = report.changes.filter((change) => change.startsWith(name));
    assert.deepEqual([changes[0], changes.at(-1)], [`${name} DOWN`, `${name} UP`]);
  }
  for (const name of NAMES)
    assert.match(logOf(name), /stopped; \d+ open requests? finished, \d+ (?:was|were) aborted/, name);
});

test('an instance that is killed takes its own tunnels with it, and no others', { skip }, async () => {
  const report = await killOne(fleet, LOAD);
  assert.ok(report.ended.length > 0);
  assert.deepEqual([...new Set(report.ended.map(({ instance }) => instance))], ['viaduct2']);
  assert.deepEqual(report.refused, []);
  assert.deepEqual(
    failuresOf(report).filter((line) => !line.startsWith('viaduct2: ')),
    [],
  );
  assert.equal(report.changes.filter((change) => change.startsWith('viaduct2')).at(-1), 'viaduct2 UP');
});

test('Prometheus watches every instance', { skip }, async () => {
  const query = async (expr: string): Promise<[string, string][]> => {
    const url = `http://127.0.0.1:${fleet.places.prometheus}/api/v1/query?query=${encodeURIComponent(expr)}`;
    const { data } = JSON.parse(await (await fetch(url)).text());
    return data.result.map(({ metric, value }: { metric: { instance: string }; value: [number, string] }) => [
      metric.instance,
      value[1],
    ]);
  };
  const expected = fleet.instances.map(({ adminPort }) => [`127.0.0.1:${adminPort}`, '1']).sort();
  await until(
    async () => JSON.stringify((await query('up{job="viaduct"}')).sort()) === JSON.stringify(expected),
    'all instances are up',
  );
});

test('the instances keep their limits in Redis', { skip }, async () => {
  using client = await rawClient(fleet.places.redis ?? 0);
  client.send('DBSIZE\r\n');
  assert.match(await client.until('\r\n'), /^:[1-9]/);
});
