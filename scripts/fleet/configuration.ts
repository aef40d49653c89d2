import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { ROOT } from '../tools.ts';

const DEPLOY = join(ROOT, 'deploy');
export const SECRETS_SCRIPT: string = join(DEPLOY, 'fleet/secrets.sh');

/** What differs between deploy/fleet/, whose files are those of compose.yaml, and a fleet on loopback. */
export interface Places {
  readonly folder: string;
  readonly secrets: string;
  readonly haproxySocket: string;
  readonly proxy: number;
  readonly instances: readonly { readonly name: string; readonly proxy: number; readonly admin: number }[];
  readonly origin: number;
  readonly originTls: number;
  /** Of the server that long tunnels lead to. */
  readonly echo: number;
  readonly prometheus: number;
  /** `undefined`: each instance has the limits by itself. */
  readonly redis: number | undefined;
  readonly drainDelay: string;
  readonly drain: string;
}

/** Where each program finds its configuration. */
export interface WrittenFiles {
  readonly haproxy: string;
  readonly nginx: string;
  readonly prometheus: string;
  readonly instances: ReadonlyMap<string, string>;
}

export function writeConfigurations(places: Places): WrittenFiles {
  const { folder, instances } = places;
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  copyFileSync(join(DEPLOY, 'prometheus/viaduct.rules.yml'), join(folder, 'viaduct.rules.yml'));
  return {
    haproxy: write('haproxy.cfg', haproxy(places)),
    nginx: write('nginx.conf', nginx(places)),
    prometheus: write('prometheus.yml', prometheus(places)),
    instances: new Map(instances.map((one) => [one.name, write(`${one.name}.yaml`, viaduct(places, one))])),
  };
}

const read = (name: string): string => readFileSync(join(DEPLOY, 'fleet', name), 'utf8');

/** Throws for a text that is not there: the file has changed, and this has to follow. */
function replaced(text: string, pairs: readonly (readonly [from: string, to: string])[]): string {
  return pairs.reduce((result, [from, to]) => {
    if (!result.includes(from)) throw new Error(`deploy/fleet: there is no ${from} to replace`);
    return result.replaceAll(from, to);
  }, text);
}

function haproxy({ secrets, haproxySocket, proxy, instances }: Places): string {
  const servers = instances.flatMap(({ proxy: port, admin }, at): [string, string][] => [
    [`172.28.0.1${at + 1}:3128 port 3129`, `127.0.0.1:${port} port ${admin}`],
  ]);
  return replaced(read('haproxy.cfg'), [
    ['/run/secrets', secrets],
    ['/run/haproxy/admin.sock', haproxySocket],
    ['0.0.0.0:3128', `127.0.0.1:${proxy}`],
    // There every instance has a machine of its own, with the name that it has here.
    ['hdr Host %[srv_name]', 'hdr Host localhost'],
    ...servers,
  ]);
}

function nginx({ folder, secrets, origin, originTls }: Places): string {
  return replaced(read('nginx.conf'), [
    ['/run/secrets', secrets],
    ['/var/log/nginx', folder],
    ['0.0.0.0:443', `127.0.0.1:${originTls}`],
    ['0.0.0.0:8443', `127.0.0.1:${origin}`],
  ]);
}

function prometheus({ secrets, instances }: Places): string {
  const config = parse(replaced(read('prometheus.yml'), [['/run/secrets', secrets]]));
  config.global = { scrape_interval: '1s', evaluation_interval: '1s' };
  config.scrape_configs[0].static_configs = [{ targets: instances.map(({ admin }) => `127.0.0.1:${admin}`) }];
  return stringify(config);
}

function viaduct(places: Places, { proxy, admin }: Places['instances'][number]): string {
  const { secrets, origin, originTls, echo, redis, drain, drainDelay } = places;
  const config = parse(replaced(read('viaduct.yaml'), [['/run/secrets', secrets]]));
  config.listen = { url: `http://127.0.0.1:${proxy}`, proxyProtocol: ['127.0.0.1'] };
  config.admin.listen = `127.0.0.1:${admin}`;
  config.admin.metrics = 'token';
  config.access[0].allow.ports = [origin, originTls, echo];
  // The origins are on loopback, too.
  config.guard = { deny: ['metadata'] };
  config.timeouts = { ...config.timeouts, drain, drainDelay };
  if (redis !== undefined) config.limits.store = `redis://127.0.0.1:${redis}`;
  else for (const name of ['store', 'storeSecret', 'onStoreDown']) delete config.limits[name];
  return stringify(config);
}
