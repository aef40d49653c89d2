import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../tools.ts';
import { type Places, SECRETS_SCRIPT, type WrittenFiles, writeConfigurations } from './configuration.ts';
import { HaproxyView } from './haproxy.ts';
import { freePorts } from './ports.ts';
import { Program, waitUntil } from './program.ts';

const INSTANCES = ['viaduct1', 'viaduct2', 'viaduct3'] as const;
/** An instance that HAProxy does not see by then is not served by it at all. */
const SEEN_MS = 30_000;

export interface FleetOptions {
  /** `local`: without Redis, each instance has the limits by itself. */
  readonly store: 'redis' | 'local';
  readonly drainDelay: string;
  readonly drain: string;
}

/** One Viaduct of the fleet. */
export class Instance {
  readonly name: string;
  readonly adminPort: number;
  readonly #start: () => Promise<Program>;
  readonly #haproxy: HaproxyView;
  #program: Program | undefined;

  constructor(name: string, adminPort: number, start: () => Promise<Program>, haproxy: HaproxyView) {
    this.name = name;
    this.adminPort = adminPort;
    this.#start = start;
    this.#haproxy = haproxy;
  }

  async start(): Promise<void> {
    this.#program = await this.#start();
  }

  /** Stops it as an operator does, starts it again and waits until HAProxy sends clients to it. Gives when it was stopped. */
  async restart(): Promise<{ readonly stoppedMs: number; readonly code: number | null }> {
    const stoppedMs = performance.now();
    const code = (await this.#program?.end('SIGTERM')) ?? null;
    await this.start();
    await this.seen();
    return { stoppedMs, code };
  }

  /** Kills it, and waits until HAProxy has noticed. */
  async kill(): Promise<void> {
    await this.#program?.end('SIGKILL');
    const isDown = async () => (await this.#haproxy.statusOf(this.name))?.startsWith('DOWN') === true;
    if (!(await waitUntil(isDown, SEEN_MS))) throw new Error(`HAProxy does not notice that ${this.name} is gone`);
  }

  /** Resolves when HAProxy sends clients to it. */
  async seen(): Promise<void> {
    const isUp = async () => (await this.#haproxy.statusOf(this.name)) === 'UP';
    if (!(await waitUntil(isUp, SEEN_MS))) throw new Error(`HAProxy does not see ${this.name}`);
  }
}

/** HAProxy, three Viaducts, nginx, Prometheus and Redis on loopback, by the files of deploy/fleet/. */
export class Fleet implements AsyncDisposable {
  readonly places: Places;
  readonly haproxy: HaproxyView;
  readonly instances: readonly Instance[];
  readonly #files: WrittenFiles;
  readonly #programs = new AsyncDisposableStack();

  private constructor(places: Places) {
    this.places = places;
    this.#files = writeConfigurations(places);
    this.haproxy = new HaproxyView(places.haproxySocket, this.log('haproxy'));
    this.instances = places.instances.map(
      ({ name, admin }) => new Instance(name, admin, () => this.#startInstance(name), this.haproxy),
    );
  }

  static async start({ store, drain, drainDelay }: FleetOptions): Promise<Fleet> {
    const folder = mkdtempSync(join(tmpdir(), 'viaduct-fleet-'));
    chmodSync(folder, 0o755);
    const secrets = join(folder, 'secrets');
    execFileSync('sh', [SECRETS_SCRIPT, secrets, '127.0.0.1']);
    const [proxy = 0, origin = 0, originTls = 0, echo = 0, prometheus = 0, redis = 0, ...rest] = await freePorts(
      6 + 2 * INSTANCES.length,
    );
    const fleet = new Fleet({
      folder,
      secrets,
      haproxySocket: join(folder, 'haproxy.sock'),
      proxy,
      origin,
      originTls,
      echo,
      prometheus,
      redis: store === 'redis' ? redis : undefined,
      instances: INSTANCES.map((name, at) => ({ name, proxy: rest[2 * at] ?? 0, admin: rest[2 * at + 1] ?? 0 })),
      drain,
      drainDelay,
    });
    try {
      await fleet.#start();
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  log(name: string): string {
    return join(this.places.folder, `${name}.log`);
  }

  async #start(): Promise<void> {
    const { folder, redis, origin, prometheus, proxy } = this.places;
    if (redis !== undefined) {
      const words = ['--port', redis, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder];
      await this.#run('redis', ['redis-server', ...words.map(String)], (written) =>
        written.includes('Ready to accept'),
      );
    }
    // As root nginx would give its files to a user who may not enter the folder.
    const user = process.getuid?.() === 0 ? ['-g', 'user root;'] : [];
    await this.#run('nginx', ['nginx', '-e', 'stderr', ...user, '-c', this.#files.nginx], () => listens(origin));
    await Promise.all(this.instances.map((instance) => instance.start()));
    await this.#run('haproxy', ['haproxy', '-db', '-f', this.#files.haproxy], () => listens(proxy));
    const data = join(folder, 'prometheus');
    mkdirSync(data);
    await this.#run(
      'prometheus',
      [
        'prometheus',
        `--config.file=${this.#files.prometheus}`,
        `--storage.tsdb.path=${data}`,
        `--web.listen-address=127.0.0.1:${prometheus}`,
      ],
      async () => (await fetch(`http://127.0.0.1:${prometheus}/-/ready`)).ok,
    );
    await Promise.all(this.instances.map((instance) => instance.seen()));
  }

  async #run(
    name: string,
    words: readonly string[],
    isReady: (written: string) => boolean | Promise<boolean>,
  ): Promise<void> {
    this.#programs.use(await Program.start(words, { log: this.log(name), isReady }));
  }

  async #startInstance(name: string): Promise<Program> {
    const { folder } = this.places;
    const config = this.#files.instances.get(name) ?? '';
    const program = await Program.start([process.execPath, join(ROOT, 'dist/cli.js'), 'run', '--config', config], {
      log: this.log(name),
      environment: { HOME: folder, XDG_CONFIG_HOME: folder, XDG_STATE_HOME: join(folder, name), XDG_RUNTIME_DIR: '' },
      isReady: (written) => written.includes('dashboard on '),
    });
    return this.#programs.use(program);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#programs[Symbol.asyncDispose]();
    rmSync(this.places.folder, { recursive: true, force: true });
  }
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } finally {
    socket.destroy();
  }
}
