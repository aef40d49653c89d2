import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, writeFileSync } from 'node:fs';

/** Starting a JavaScript program takes several seconds on a loaded machine. */
const READY_MS = 30_000;
const LOOK_MS = 20;

export interface ProgramOptions {
  /** Its output goes there, behind what is there already. */
  readonly log: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Asked again and again, with what the program has written since it was started. */
  isReady(written: string): boolean | Promise<boolean>;
}

/** A program of the fleet, in the foreground and in a process group of its own. The kernel ends it with this process. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, 'exit');
  }

  /** Resolves when it is ready; rejects with the end of its output when it ends before. */
  static async start(words: readonly string[], { log, environment = {}, isReady }: ProgramOptions): Promise<Program> {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: 'C', TZ: 'UTC', ...environment },
    });
    let written = '';
    writeFileSync(log, '', { flag: 'a' });
    for (const output of [child.stdout, child.stderr])
      output.setEncoding('utf8').on('data', (text: string) => {
        appendFileSync(log, text);
        written = (written + text).slice(-20_000);
      });
    const program = new Program(child);
    const isOver = await waitUntil(() => child.exitCode !== null || isReady(written), READY_MS);
    if (isOver && child.exitCode === null) return program;
    await program[Symbol.asyncDispose]();
    throw new Error(`${words[0]} is not ready: ${written.slice(-2_000)}`);
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves when the program has ended, with its exit code; `null`: by a signal. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.isRunning) {
      this.#child.kill(signal);
      await this.#ended;
    }
    return this.#child.exitCode;
  }

  /** Ends what it has started, too: the workers of nginx outlive a process that is killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { pid } = this.#child;
    if (pid === undefined || !this.isRunning) return;
    process.kill(-pid, 'SIGKILL');
    await this.#ended;
  }
}

/** False when the time is over and the condition is not met. What the condition throws counts as not yet. */
export async function waitUntil(isMet: () => boolean | Promise<boolean>, limitMs: number): Promise<boolean> {
  const endMs = performance.now() + limitMs;
  while (performance.now() < endMs) {
    if (
      await Promise.resolve()
        .then(isMet)
        .catch(() => false)
    )
      return true;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return false;
}
