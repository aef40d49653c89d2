import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { OPEN } from '../../files/file-terms.ts';

/** Everything that discovery reads of the system, so that a test can stand in for any system. */
export interface SystemWorld {
  readonly platform: NodeJS.Platform;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly homeFolder: string;
  /** Includes the domain where the system knows it. */
  hostName(): string;
  /** Standard output; `undefined` when the program is not there, fails, or takes too long. */
  run(file: string, words: readonly string[]): Promise<string | undefined>;
  /** `undefined` when there is no such file, or it cannot be read. */
  read(path: string): Promise<TextFile | undefined>;
  /** Names in a folder; empty when it does not exist. */
  list(folder: string): Promise<readonly string[]>;
}
export interface TextFile {
  readonly text: string;
  readonly modifiedMs: number;
}

/** Settings are read in 10 ms; a program that waits for a bus or a daemon must not delay the start. */
const RUN_MS_MAX = 2_000;
/** Settings and leases have a few KB. */
const OUTPUT_BYTES_MAX = 262_144;
/** Leases in one folder: only a DHCP server would have more. */
const FILES_MAX = 64;

export const systemWorld = (environment: NodeJS.ProcessEnv): SystemWorld => ({
  platform: process.platform,
  environment,
  homeFolder: homedir(),
  hostName: hostname,
  run: (file, words) =>
    new Promise((resolve) => {
      const options = {
        env: { ...environment, LC_ALL: 'C' },
        timeout: RUN_MS_MAX,
        killSignal: 'SIGKILL',
        maxBuffer: OUTPUT_BYTES_MAX,
        windowsHide: true,
      } as const;
      execFile(file, words, options, (error, stdout) => resolve(error === null ? stdout : undefined));
    }),
  read: async (path) => {
    // Most of these files are not there, and to learn that by the pool takes ten times as long.
    if (!existsSync(path)) return undefined;
    try {
      await using file = await open(path, OPEN);
      const status = await file.stat();
      if (!status.isFile()) return undefined;
      const { buffer, bytesRead } = await file.read(Buffer.alloc(OUTPUT_BYTES_MAX), 0, OUTPUT_BYTES_MAX);
      return { text: buffer.toString('utf8', 0, bytesRead), modifiedMs: status.mtimeMs };
    } catch {
      return undefined;
    }
  },
  list: async (folder) => {
    try {
      return (await readdir(folder)).sort().slice(0, FILES_MAX);
    } catch {
      return [];
    }
  },
});
