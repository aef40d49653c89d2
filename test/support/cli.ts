import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';

/** The built command, as a user has it. Compiled tests lie elsewhere, so the root is looked for. */
export function builtCommand(): string {
  for (let folder = new URL('./', import.meta.url); folder.pathname !== '/'; folder = new URL('../', folder)) {
    const command = new URL('dist/cli.js', folder);
    if (existsSync(command)) return fileURLToPath(command);
  }
  throw new Error('there is no dist/cli.js: npm run build');
}

/** What a command wrote, and how it ended. */
export interface ExitResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** A command that runs; disposing kills it. */
export interface Running extends Disposable {
  readonly child: ChildProcess;
  readonly ended: Promise<ExitResult>;
  /** Resolves with the whole of standard error once it holds `text`; rejects when the command ends without it. */
  says(text: string | RegExp): Promise<string>;
  /** The port of its first TCP listener, once it listens. */
  port(): Promise<number>;
}

/** A whole line: a port that was cut off in the middle is another port. */
const LISTENING = /listening on https?:\/\/\S+:(\d+)\n/;

/**
 * Starts `viaduct WORDS…`, on its own: neither the machine's configuration nor npm's variables reach it.
 * `filesMax` is how many files it may have open.
 */
export function viaduct(
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  filesMax?: number,
): Running {
  const command = [process.execPath, builtCommand(), ...words];
  const [program = '', ...rest] =
    filesMax === undefined ? command : ['sh', '-c', `ulimit -n ${filesMax} && exec "$0" "$@"`, ...command];
  const child = spawn(program, rest, {
    env: {
      PATH: process.env.PATH ?? '',
      HOME: tmpdir(),
      XDG_CONFIG_HOME: '/nonexistent',
      // What one test file leaves there must not reach another.
      XDG_STATE_HOME: `${tmpdir()}/viaduct-tests-${process.pid}`,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  const waiting = new Set<() => void>();
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text;
    for (const check of waiting) check();
  });
  const ended = new Promise<ExitResult>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, out, err }));
  });
  const says: Running['says'] = (text) =>
    new Promise((resolve, reject) => {
      const check = () => {
        if (typeof text === 'string' ? !err.includes(text) : !text.test(err)) return;
        waiting.delete(check);
        resolve(err);
      };
      waiting.add(check);
      check();
      void ended.then((how) => reject(new Error(`ended with ${how.code} and without ${text}: ${how.err}`)));
    });
  return {
    child,
    ended,
    says,
    port: async () => Number(LISTENING.exec(await says(LISTENING))?.[1]),
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  };
}

/** Runs a command to its end. */
export function viaductEnds(
  words: readonly string[],
  environment?: Readonly<Record<string, string>>,
): Promise<ExitResult> {
  return viaduct(words, environment).ended;
}
