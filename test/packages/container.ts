import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, copyFileSync, cpSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type RunResult, run } from '../support/run.ts';
import { until } from '../support/until.ts';
import { copyOf, type ImageSettings, type Stage, settingsOf } from './dockerfile.ts';

/** As engines set it where an image sets none. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What distroless/cc has of Debian, as far as Node needs it. */
const BASE_PACKAGES = ['libc6', 'libgcc-s1', 'libstdc++6'];

/** Writes a base as distroless/cc is one: folders, and the C and C++ libraries, here those of this machine. */
export function writeBase(root: string): void {
  for (const folder of ['dev', 'etc', 'proc', 'tmp', 'usr/bin', 'usr/lib', 'var/lib']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  const files = execFileSync('dpkg', ['-L', ...BASE_PACKAGES], { encoding: 'utf8' }).split('\n');
  for (const library of files.filter((path) => /^(?:\/usr)?\/lib(?:64)?\/(?:[\w-]+\/)?[^/]+\.so[\d.]*$/.test(path))) {
    mkdirSync(dirname(join(root, library)), { recursive: true });
    copyFileSync(library, join(root, library));
  }
}

/** Does the COPY steps of a stage; `built` gives where something of the earlier stage is. */
export function writeStage(root: string, { steps }: Stage, built: (path: string) => string): void {
  for (const { instruction, text } of steps) {
    if (instruction !== 'COPY') continue;
    const { source, target, owner } = copyOf(text);
    mkdirSync(dirname(join(root, target)), { recursive: true });
    cpSync(built(source), join(root, target), { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    const [uid, gid] = (owner ?? '').split(':').map(Number);
    if (uid === undefined || gid === undefined || owner === undefined) continue;
    chownSync(join(root, target), uid, gid);
  }
}

export interface ContainerOptions {
  readonly root: string;
  readonly stage: Stage;
  /** Mounted at /etc/viaduct, read-only. */
  readonly config: string;
}

/**
 * Starts an image as a container engine does: its root read-only, its user without privileges, its entry point process 1 of a
 * PID namespace. The network is that of the test.
 */
export class Container implements AsyncDisposable {
  readonly #child: ReturnType<typeof spawn>;
  readonly #settings: ImageSettings;
  readonly ended: Promise<[code: number | null, signal: string | null]>;
  err = '';

  private constructor(child: ReturnType<typeof spawn>, settings: ImageSettings) {
    this.#child = child;
    this.#settings = settings;
    this.ended = once(child, 'close') as Promise<[number | null, string | null]>;
    for (const output of [child.stdout, child.stderr])
      output?.setEncoding('utf8').on('data', (text: string) => {
        this.err += text;
      });
  }

  static start({ root, stage, config }: ContainerOptions): Container {
    const settings = settingsOf(stage);
    const [uid, gid] = settings.user.split(':');
    const mounts = [
      'mount --bind "$ROOT" "$ROOT"',
      'mkdir -p "$ROOT/etc/viaduct"',
      'mount --bind "$CONFIG" "$ROOT/etc/viaduct"',
      `mount -t tmpfs -o uid=${uid},gid=${gid},mode=0700 none "$ROOT/var/lib/viaduct"`,
      'mount -t tmpfs none "$ROOT/dev"',
      'touch "$ROOT/dev/null" && mount --bind /dev/null "$ROOT/dev/null"',
      'mount -o remount,bind,ro "$ROOT/etc/viaduct"',
      'mount -o remount,bind,ro "$ROOT"',
    ];
    const environment = Object.entries(settings.environment).map(([name, value]) => `${name}=${value}`);
    // chroot and not pivot_root: here it is a root for one program, and not a wall.
    const start = ['env', '-i', `PATH=${PATH}`, ...environment, 'setpriv', '--no-new-privs', 'chroot'];
    const words = [...start, `--userspec=${settings.user}`, root, ...settings.entrypoint, ...settings.command];
    // A change of the user makes the kernel forget that a process is to end with its parent. So there is a namespace around
    // that of the container, whose first process stays what it is, and takes all with it.
    const around = ['setpriv', '--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child'];
    const inner = `unshare --pid --fork sh -c 'mount -t proc proc "$ROOT/proc" && exec "$@"' sh "$@"; exit $?`;
    const [program = '', ...rest] = [...around, 'sh', '-c', `${mounts.join(' && ')} && ${inner}`, 'sh', ...words];
    const child = spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH, ROOT: root, CONFIG: config },
    });
    return new Container(child, settings);
  }

  /** Rejects with all that it has said when it does not say this. */
  async says(text: string): Promise<void> {
    try {
      await until(() => this.err.includes(text), text);
    } catch (cause) {
      throw new Error(`the container does not say "${text}", but: ${this.err}`, { cause });
    }
  }

  /** Process 1 of the container, as this machine numbers it. */
  get init(): number {
    const shell = childOf(Number(this.#child.pid));
    return childOf(childOf(shell));
  }

  /** As `docker exec`: a program beside those that run. */
  exec(...words: readonly string[]): Promise<RunResult> {
    const { environment, user } = this.#settings;
    const [uid = '', gid = ''] = user.split(':');
    const into = [
      '--target',
      String(this.init),
      '--mount',
      '--pid',
      '--root',
      '--wd=/',
      '--setuid',
      uid,
      '--setgid',
      gid,
    ];
    return run('nsenter', [...into, ...words], { environment });
  }

  healthCheck(): Promise<RunResult> {
    return this.exec(...this.#settings.healthCheck);
  }

  /** As `docker stop` sends it: to process 1 alone. */
  kill(signal: NodeJS.Signals): void {
    process.kill(this.init, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}

function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ')[0]);
}
