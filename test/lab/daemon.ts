import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../support/until.ts';

export { freePorts } from '../../scripts/fleet/ports.ts';

/** A daemon that is not ready by then has failed; Squid takes a second on a loaded machine. */
const READY_MS = 20_000;

/** Folder of one server: its own files, and one that it may write to as the user that it becomes. */
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

  /** The end of each log of the server, for the message of a test that fails. */
  logs(): string {
    return readdirSync(this.log, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => `${name}:\n${readFileSync(join(this.log, name), 'utf8').slice(-3_000)}`)
      .join('\n');
  }

  [Symbol.dispose](): void {
    // A process that was killed with its namespace may write for a moment longer.
    rmSync(this.path, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  }
}

/** What starting a server takes besides its words. */
export interface DaemonOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** For a server that is reached otherwise than by a port. */
  readonly isReady?: () => Promise<boolean>;
}

/** The kernel kills the servers of a test process that is killed: a test that times out leaves nothing either. */
const ENDS_WITH_US = process.platform === 'linux' ? ['setpriv', '--pdeathsig', 'KILL'] : [];

/** A server of Debian, in the foreground and in a process group of its own; disposing ends it. */
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
    { environment = {}, isReady }: DaemonOptions = {},
  ): Promise<Daemon> {
    const [program = '', ...rest] = [...ENDS_WITH_US, ...words];
    let printed = '';
    const child = spawn(program, rest, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: 'C', ...environment },
    });
    for (const output of [child.stdout, child.stderr]) {
      output?.setEncoding('utf8').on('data', (text: string) => {
        printed = (printed + text).slice(-5_000);
      });
    }
    child.on('error', (error) => {
      printed += error.message;
    });
    const daemon = new Daemon(child, folder);
    const conditions = [...ports.map((port) => () => listens(port)), ...(isReady ? [isReady] : [])];
    try {
      for (const isMet of conditions) {
        await until(
          () => {
            if (child.exitCode !== null || child.pid === undefined) throw new Error(`${words[0]} has ended`);
            return isMet();
          },
          `${words[0]} is ready`,
          READY_MS,
        );
      }
    } catch (cause) {
      const message = `${words[0]} is not ready (ports ${ports}): ${printed}\n${folder.logs()}`;
      await daemon[Symbol.asyncDispose]();
      throw new Error(message, { cause });
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
      // Nothing of it is kept, and an orderly end of Squid takes two seconds.
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

/** A user name, its password, and one that has what encodings trip over. */
export const LAB_USERS: readonly (readonly [user: string, password: string])[] = [
  ['viaduct-alice', 'Passw0rd-Alice'],
  ['viaduct-bob', 'p:w@rd 100%/#"x-Grüße'],
];
/** Resolved by the servers of the lab only. */
export const FAR_NAME = 'far.lab.test';
