import { spawn } from 'node:child_process';

/** What a program wrote, and how it ended. */
export interface RunResult {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Standard input. */
  readonly input?: string;
  /** Leave standard input open until the program ends. */
  readonly keepInput?: boolean;
}

/** A program may take this long; a real client that hangs is a failure, not a stuck run. */
const RUN_MS_MAX = 60_000;

/** Runs a program to its end. Of the environment it has a path and a home, and no proxy that the machine may have set. */
export function run(program: string, words: readonly string[], how: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, {
      env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', LC_ALL: 'C', ...how.environment },
      cwd: how.cwd,
      timeout: RUN_MS_MAX,
      killSignal: 'SIGKILL',
    });
    let out = '';
    let err = '';
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('latin1').on('data', (text: string) => {
      err += text;
    });
    child.stdin.on('error', () => undefined);
    if (how.keepInput === true) child.stdin.write(how.input ?? '', 'latin1');
    else child.stdin.end(how.input ?? '', 'latin1');
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}
