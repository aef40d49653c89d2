/** deploy/fleet/compose.yaml beside the files that it mounts. No engine runs here. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { missing } from '../support/requires.ts';
import { run } from '../support/run.ts';
import { temporaryFolder } from '../support/temporary.ts';

const FOLDER = new URL('../../deploy/fleet/', import.meta.url).pathname;
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');

interface Service {
  readonly volumes?: readonly string[];
  readonly hostname?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly stop_grace_period?: string;
  readonly networks: { readonly fleet: { readonly ipv4_address: string } };
}

const services: Readonly<Record<string, Service>> = parse(read('compose.yaml'), { merge: true }).services;
const addressOf = (name: string): string => services[name]?.networks.fleet.ipv4_address ?? assert.fail(name);
const INSTANCES = ['viaduct1', 'viaduct2', 'viaduct3'];

test('the configurations name each other by the addresses of the services', () => {
  const viaduct = parse(read('viaduct.yaml'));
  const port = Number(viaduct.listen.url.split(':').at(-1));
  const admin = Number(viaduct.admin.listen.split(':').at(-1));
  const servers = [...read('haproxy.cfg').matchAll(/^ {2}server (\S+) (\S+) port (\d+)$/gm)].map((match) =>
    match.slice(1),
  );
  // HAProxy names the instance by its server's name in Host: that must be the name of the machine.
  assert.deepEqual(
    servers,
    INSTANCES.map((name) => [services[name]?.hostname, `${addressOf(name)}:${port}`, String(admin)]),
  );
  assert.deepEqual(viaduct.listen.proxyProtocol, [addressOf('haproxy')]);
  assert.deepEqual(viaduct.guard.allow, [addressOf('nginx')]);
  assert.equal(new URL(viaduct.limits.store).hostname, addressOf('redis'));
  const [{ static_configs: targets }] = parse(read('prometheus.yml')).scrape_configs;
  assert.deepEqual(targets, [{ targets: INSTANCES.map((name) => `${addressOf(name)}:${admin}`) }]);
});

test('every instance is without privileges, and is stopped later than its drain ends', () => {
  const { drain, drainDelay } = parse(read('viaduct.yaml')).timeouts;
  const seconds = Number.parseInt(drain, 10) + Number.parseInt(drainDelay, 10);
  for (const name of INSTANCES) {
    const { read_only, cap_drop, stop_grace_period = '' } = services[name] ?? assert.fail(name);
    assert.deepEqual([read_only, cap_drop], [true, ['ALL']], name);
    assert.ok(Number.parseInt(stop_grace_period, 10) > seconds, name);
  }
});

test('every file that is mounted or named as a secret is there', { skip: missing('openssl') }, async () => {
  using folder = temporaryFolder();
  const secrets = join(folder.path, 'secrets');
  const made = await run('sh', [join(FOLDER, 'secrets.sh'), secrets]);
  assert.deepEqual(made, { code: 0, out: '', err: '' });
  const mounted = Object.values(services).flatMap(({ volumes = [] }) => volumes.map((one) => one.split(':')[0] ?? ''));
  assert.ok(mounted.length > 5);
  for (const path of mounted) {
    const isSecret = path.startsWith('./secrets');
    assert.ok(existsSync(isSecret ? join(folder.path, path) : join(FOLDER, path)), path);
  }
  for (const file of ['haproxy.cfg', 'viaduct.yaml', 'prometheus.yml', 'nginx.conf'])
    for (const [, name = ''] of read(file).matchAll(/\/run\/secrets\/([\w.-]+)/g))
      assert.ok(existsSync(join(secrets, name)), `${file}: ${name}`);
});
