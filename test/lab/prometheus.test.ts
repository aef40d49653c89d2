/** What is in deploy/ for operators, with Debian's Prometheus and a proxy that runs. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { METRICS } from '../../src/admin/metrics-table.ts';
import { FAILURES } from '../../src/contracts/failure.ts';
import { viaduct } from '../support/cli.ts';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { until } from '../support/until.ts';
import { Daemon, freePorts, LabFolder } from './daemon.ts';
import { startRedis } from './redis.ts';

const DEPLOY = new URL('../../deploy/', import.meta.url).pathname;
const read = (path: string): string => readFileSync(join(DEPLOY, path), 'utf8');
const RULES = read('prometheus/viaduct.rules.yml');
const skip = missing('prometheus', 'redis-server');

/** Every name of a metric in a text of queries, without the suffixes of a histogram. */
const namesIn = (text: string): Set<string> =>
  new Set(
    (text.match(/\b(?:viaduct|process)_[a-z_]+\b/g) ?? []).map((name) => name.replace(/_(?:bucket|sum|count)$/, '')),
  );

/** What Prometheus's API says, as far as it is read here. */
interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data: {
    readonly result: readonly { readonly value: readonly [atS: number, value: string] }[];
    readonly groups: readonly { readonly rules: readonly { readonly health: string; readonly lastError?: string }[] }[];
  };
}

/** A proxy of two processes whose metrics need the token; with a `store` its limits are shared. */
async function runningProxy(store?: string) {
  const folder = temporaryFolder();
  const config = folder.write(
    'viaduct.yaml',
    'listen: 127.0.0.1:0\nadmin: { listen: "127.0.0.1:0", metrics: token }\nroutes: { pac: "data:,function%20FindProxyForURL()%7Breturn%20%22DIRECT%22%7D" }\n' +
      `limits: { bandwidth: { name: line, rate: 10MiB }, tunnels: { total: 100 }${store === undefined ? '' : `, store: '${store}'`} }\nlog: { format: off }\n`,
  );
  const running = viaduct(['-c', config, '--workers', '2'], { XDG_STATE_HOME: folder.path });
  await running.says('dashboard on ');
  const state = join(folder.path, 'viaduct');
  const [name = ''] = readdirSync(join(state, 'instances'));
  const { admin } = JSON.parse(readFileSync(join(state, 'instances', name), 'utf8'));
  const tokenFile = join(state, 'admin-token');
  const metrics = async (): Promise<Response> =>
    fetch(`${admin}/metrics`, { headers: { authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}` } });
  return {
    port: await running.port(),
    admin: String(admin),
    tokenFile,
    metrics,
    [Symbol.dispose]() {
      running[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
}

const promtool = (words: readonly string[], input = ''): string => {
  const { status, stdout, stderr } = spawnSync('promtool', words, {
    cwd: join(DEPLOY, 'prometheus'),
    input,
    encoding: 'utf8',
  });
  return status === 0 ? stderr : `${status}: ${stdout}${stderr}`;
};

test('promtool finds nothing wrong with the rules, and every alert fires in its case and not before', { skip }, () => {
  assert.equal(promtool(['check', 'rules', '--lint-fatal', 'viaduct.rules.yml']), '');
  assert.equal(promtool(['test', 'rules', 'viaduct.rules.test.yml']), '');
  const alerts = parse(RULES).groups.flatMap(({ rules }: { rules: { alert: string }[] }) =>
    rules.map(({ alert }) => alert),
  );
  const cases: { alertname: string; exp_alerts: unknown[] }[] = parse(
    read('prometheus/viaduct.rules.test.yml'),
  ).tests.flatMap(({ alert_rule_test }: { alert_rule_test: unknown[] }) => alert_rule_test);
  const fired = cases.filter(({ exp_alerts }) => exp_alerts.length > 0).map(({ alertname }) => alertname);
  const quiet = cases.filter(({ exp_alerts }) => exp_alerts.length === 0).map(({ alertname }) => alertname);
  assert.deepEqual([fired.sort(), quiet.sort()], [[...alerts].sort(), [...alerts].sort()]);
});

test('every reason that the alerts name is a failure of the table', () => {
  const patterns = [...RULES.matchAll(/reason=~?"([^"]+)"/g)].flatMap(([, list = '']) => list.split('|'));
  assert.ok(patterns.length > 8);
  for (const pattern of patterns) {
    assert.ok(
      Object.keys(FAILURES).some((code) => new RegExp(`^(?:${pattern})$`).test(code)),
      pattern,
    );
  }
});

test('a running proxy has every metric of the page, the board and the alerts, and promtool finds nothing wrong with it', {
  skip,
}, async () => {
  await using redis = await startRedis();
  using proxy = await runningProxy(redis.url);
  const text = await (await proxy.metrics()).text();
  const described = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name));
  assert.deepEqual([...described].sort(), Object.keys(METRICS).sort());
  for (const file of ['grafana/viaduct.json', 'grafana/viaduct-fleet.json', 'prometheus/viaduct.rules.yml']) {
    const named = namesIn(read(file));
    assert.ok(named.size > 5);
    assert.deepEqual(
      [...named].filter((name) => !described.has(name)),
      [],
      file,
    );
  }
  assert.equal(promtool(['check', 'metrics'], text), '');
});

test('Prometheus scrapes a proxy of two processes with the token, and evaluates board and alerts', {
  skip,
}, async () => {
  using proxy = await runningProxy();
  const { host } = new URL(proxy.admin);
  const folder = new LabFolder();
  const [port = 0] = await freePorts(1);
  folder.write('viaduct.rules.yml', RULES);
  const config = folder.write(
    'prometheus.yml',
    read('prometheus/prometheus.yml')
      .replace('localhost:3129', host)
      .replace('/etc/prometheus/viaduct-token', proxy.tokenFile)
      .replace('scrape_interval: 15s', 'scrape_interval: 1s\n  evaluation_interval: 1s'),
  );
  const words = [
    `--config.file=${config}`,
    `--storage.tsdb.path=${folder.log}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ];
  await using _daemon = await Daemon.start(['prometheus', ...words], [port], folder, {
    isReady: async () => (await fetch(`http://127.0.0.1:${port}/-/ready`)).ok,
  });
  const api = async (path: string): Promise<Answer> =>
    JSON.parse(await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).text());
  const valuesOf = async (query: string) => {
    const { status, data, error } = await api(`query?query=${encodeURIComponent(query)}`);
    assert.equal(status, 'success', `${query}: ${error}`);
    return data.result.map(({ value }) => Number(value[1]));
  };
  // The request for the proxy itself, which is counted by one of the workers.
  const { code } = await run('curl', ['-s', '-o', '/dev/null', `http://127.0.0.1:${proxy.port}/`]);
  assert.equal(code, 0);
  await until(
    async () => (await valuesOf('viaduct_requests_total{kind="local", outcome="ok"}'))[0] === 1,
    'Prometheus has the request',
  );
  assert.deepEqual(await valuesOf('up{job="viaduct"}'), [1]);
  assert.deepEqual(await valuesOf('max(viaduct_unaccounted)'), [0]);
  assert.deepEqual(await valuesOf('viaduct_workers'), [2]);
  const board: { panels: { targets?: { expr: string }[] }[] } = JSON.parse(read('grafana/viaduct.json'));
  const queries = board.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  assert.ok(queries.length > 15);
  for (const query of queries) {
    await valuesOf(query.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m'));
  }
  await until(async () => {
    const { data } = await api('rules');
    const rules = data.groups.flatMap((group) => group.rules);
    for (const { lastError } of rules) assert.equal(lastError, undefined);
    return rules.length > 0 && rules.every(({ health }) => health === 'ok');
  }, 'every rule was evaluated');
});
