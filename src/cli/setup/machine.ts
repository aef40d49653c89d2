import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { commandPath, startedCommand } from '../env/started-command.ts';

/** What setup and doctor need to know of the machine that they run on, so that a test can stand in for another one. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** `~/.config`, or where XDG has it. */
  readonly configHome: string;
  /** Whether this user may change the settings of the system. */
  readonly isAdministrator: boolean;
  hasCommand(name: string): boolean;
  exists(path: string): boolean;
  /** Names in a folder, sorted; empty when there is none. */
  list(folder: string): readonly string[];
  /** Runs a program to its end. */
  run(words: readonly string[]): Promise<RanProgram>;
}

export interface RanProgram {
  /** `undefined`: it is not there, or took too long. */
  readonly code: number | undefined;
  readonly out: string;
  readonly err: string;
}

/** Tools that read or change a setting take milliseconds; one that asks a person or a network must not hold setup up. */
const RUN_MS_MAX = 20_000;
const OUTPUT_BYTES_MAX = 1024 * 1024;

export function thisMachine(environment: NodeJS.ProcessEnv): Machine {
  const home = environment.HOME || homedir();
  return {
    platform: process.platform,
    environment,
    home,
    configHome: environment.XDG_CONFIG_HOME || join(home, '.config'),
    isAdministrator: process.getuid?.() === 0,
    hasCommand: (name) => commandPath(name, environment) !== undefined,
    exists: existsSync,
    list: namesIn,
    run: ([program = '', ...words]) => runToEnd(program, words, environment),
  };
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function runToEnd(program: string, words: readonly string[], environment: NodeJS.ProcessEnv): Promise<RanProgram> {
  return new Promise((resolve) => {
    const options = { env: environment, timeout: RUN_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX, windowsHide: true } as const;
    const started = startedCommand(program, words, environment);
    execFile(
      started.program,
      [...started.words],
      { ...options, windowsVerbatimArguments: started.windowsVerbatimArguments ?? false },
      (error, out, err) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : undefined;
        resolve({ code, out, err });
      },
    );
  });
}
