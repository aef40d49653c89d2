import { Redis } from 'ioredis';
import { openParts } from '../support/open-parts.ts';
import { until } from '../support/until.ts';
import { Daemon, freePorts, LabFolder } from './daemon.ts';

/** Debian's Redis. Disposing ends it. */
export interface RedisServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** A client of the test's own. */
  readonly admin: Redis;
  readonly daemon: Daemon;
}

/** `settings` are lines of redis.conf; `port` takes the place of a server that has ended; `words` stand behind the file. */
export async function startRedis(
  settings: readonly string[] = [],
  port?: number,
  words: readonly string[] = [],
): Promise<RedisServer> {
  const folder = new LabFolder();
  const [free = 0] = port === undefined ? await freePorts(1) : [port];
  const lines = [`port ${free}`, 'bind 127.0.0.1', `dir ${folder.log}`, ...settings];
  const configuration = folder.write('redis.conf', `${lines.join('\n')}\n`);
  const daemon = await Daemon.start(['redis-server', configuration, '--save', '', ...words], [free], folder);
  const admin = new Redis({ host: '127.0.0.1', port: free, retryStrategy: () => 50 });
  admin.on('error', () => {});
  return {
    port: free,
    url: `redis://127.0.0.1:${free}`,
    admin,
    daemon,
    [Symbol.asyncDispose]: async () => {
      admin.disconnect();
      await daemon[Symbol.asyncDispose]();
    },
  };
}

/** Three servers that are one cluster. */
export interface RedisCluster extends AsyncDisposable {
  readonly nodes: readonly RedisServer[];
}

const SLOTS = 16_384;

export async function startRedisCluster(): Promise<RedisCluster> {
  const open = openParts();
  const ports = await freePorts(3);
  const nodes: RedisServer[] = [];
  for (const bus of ports) {
    const settings = ['cluster-enabled yes', `cluster-port ${bus}`, 'cluster-node-timeout 2000'];
    nodes.push(open.use('redis', await startRedis(settings)));
  }
  const [first] = nodes;
  for (const [at, { admin }] of nodes.entries()) {
    const [from, to] = [Math.ceil((at * SLOTS) / 3), Math.ceil(((at + 1) * SLOTS) / 3) - 1];
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', `${from}`, `${to}`);
    if (at > 0) await admin.call('CLUSTER', 'MEET', '127.0.0.1', `${first?.port}`, `${ports[0]}`);
  }
  for (const { admin } of nodes) {
    await until(async () => /cluster_state:ok/.test(String(await admin.call('CLUSTER', 'INFO'))), 'the cluster is up');
  }
  return { nodes, [Symbol.asyncDispose]: () => open[Symbol.asyncDispose]() };
}

/** A master, its replica, and a sentinel that replaces it when it is away for half a second. */
export interface RedisWithSentinel extends AsyncDisposable {
  readonly master: RedisServer;
  readonly replica: RedisServer;
  readonly sentinel: RedisServer;
}

export async function startRedisWithSentinel(name: string): Promise<RedisWithSentinel> {
  const open = openParts();
  const master = open.use('redis', await startRedis());
  const replica = open.use('redis', await startRedis([`replicaof 127.0.0.1 ${master.port}`]));
  await until(async () => /master_link_status:up/.test(await replica.admin.info('replication')), 'the replica follows');
  const settings = [
    `sentinel monitor ${name} 127.0.0.1 ${master.port} 1`,
    `sentinel down-after-milliseconds ${name} 500`,
    `sentinel failover-timeout ${name} 2000`,
  ];
  const sentinel = open.use('redis', await startRedis(settings, undefined, ['--sentinel']));
  const replicas = () => sentinel.admin.call('SENTINEL', 'REPLICAS', name);
  await until(
    async () => JSON.stringify(await replicas()).includes(`${replica.port}`),
    'the sentinel knows the replica',
  );
  return { master, replica, sentinel, [Symbol.asyncDispose]: () => open[Symbol.asyncDispose]() };
}
