import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

/** A daemon that is not there by then has failed; Squid takes a second on a busy machine. */
const READY_MS = 20_000;

/** Folder of one server: its own files, and one that it may write to as whatever user it becomes. */
export class LabFolder implements Disposable {
  readonly path: string;
  readonly log: string;

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), 'viaduct-lab-'));
    this.log = join(this.path, 'log');
    mkdirSync(this.log);
    chmodSync(this.path, 0o755);
    chmodSync(this.log, 0o777);
  }

  /** Writes a file; a secret one for its owner alone. Gives its path. */
  write(name: string, text: string, mode: number = 0o644): string {
    const path = join(this.path, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  }

  /** What the server has said, for the message of a test that fails. */
  said(): string {
    return readdirSync(this.log, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => `${name}:\n${readFileSync(join(this.log, name), 'utf8').slice(-3_000)}`)
      .join('\n');
  }

  [Symbol.dispose](): void {
    // Whoever was killed with its namespace may write for a moment longer.
    rmSync(this.path, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  }
}

/** What starting a server takes besides its words. */
export interface HowToStart {
  readonly environment?: Readonly<Record<string, string>>;
  /** For a server that is asked otherwise than by a port. */
  readonly isReady?: () => Promise<boolean>;
}

/** Whoever is killed while its servers run takes them along: a test that times out leaves nothing either. */
const ENDS_WITH_US = process.platform === 'linux' ? ['setpriv', '--pdeathsig', 'KILL'] : [];

/** A server nobody here wrote, in the foreground and in a process group of its own; disposing ends it. */
export class Daemon implements AsyncDisposable {
  readonly folder: LabFolder;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, folder: LabFolder) {
    this.#child = child;
    this.folder = folder;
  }

  /** Resolves when it listens on every port, and is ready. */
  static async start(
    words: readonly string[],
    ports: readonly number[],
    folder: LabFolder,
    { environment = {}, isReady }: HowToStart = {},
  ): Promise<Daemon> {
    const [program = '', ...rest] = [...ENDS_WITH_US, ...words];
    let said = '';
    const child = spawn(program, rest, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: 'C', ...environment },
    });
    for (const output of [child.stdout, child.stderr]) {
      output?.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(-5_000);
      });
    }
    child.on('error', (error) => {
      said += error.message;
    });
    const daemon = new Daemon(child, folder);
    const untilMs = performance.now() + READY_MS;
    const conditions = [...ports.map((port) => () => listens(port)), ...(isReady ? [isReady] : [])];
    for (const isMet of conditions) {
      while (!(await isMet())) {
        if (performance.now() < untilMs && child.exitCode === null && child.pid !== undefined) await wait(20);
        else {
          const message = `${words[0]} is not ready (ports ${ports}): ${said}\n${folder.said()}`;
          await daemon[Symbol.asyncDispose]();
          throw new Error(message);
        }
      }
    }
    return daemon;
  }

  /** Sends a signal to all of its processes. */
  kill(signal: NodeJS.Signals): void {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    process.kill(-pid, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { exitCode, signalCode, pid } = this.#child;
    if (pid !== undefined && exitCode === null && signalCode === null) {
      // Nothing that it has is worth saving, and Squid takes two seconds to say farewell.
      const ended = once(this.#child, 'exit');
      this.kill('SIGCONT');
      // When the first process of a namespace dies, its parent ends once all in it are gone.
      const first = this.#child.spawnargs.includes('--kill-child') ? childOf(pid) : undefined;
      process.kill(first ?? -pid, 'SIGKILL');
      await ended;
    }
    this.folder[Symbol.dispose]();
  }
}

function childOf(pid: number): number | undefined {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ');
  return child ? Number(child) : undefined;
}

async function listens(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Ports that nobody listens on, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a listener without a port');
    return address.port;
  });
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** A user name, its password, and one that has what encodings trip over. */
export const LAB_USERS: readonly (readonly [user: string, password: string])[] = [
  ['viaduct-alice', 'Passw0rd-Alice'],
  ['viaduct-bob', 'p:w@rd 100%/#"x-Grüße'],
];
/** Resolved by the servers of the lab, and by nobody else. */
export const FAR_NAME = 'far.lab.test';
