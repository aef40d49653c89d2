import { Redis } from 'ioredis';
import { Daemon, freePorts, LabFolder } from './daemon.ts';

/** Debian's Redis. Disposing ends it. */
export interface RedisServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  /** A client of the test's own. */
  readonly admin: Redis;
  readonly daemon: Daemon;
}

/** `settings` are lines of redis.conf; `port` takes the place of a server that has ended. */
export async function startRedis(settings: readonly string[] = [], port?: number): Promise<RedisServer> {
  const folder = new LabFolder();
  const [free = 0] = port === undefined ? await freePorts(1) : [port];
  const configuration = folder.write(
    'redis.conf',
    [
      `port ${free}`,
      'bind 127.0.0.1',
      `dir ${folder.log}`,
      'save ""',
      'enable-debug-command yes',
      ...settings,
      '',
    ].join('\n'),
  );
  const daemon = await Daemon.start(['redis-server', configuration], [free], folder);
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
