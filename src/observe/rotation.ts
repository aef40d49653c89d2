import { type BigIntStats, fstat } from 'node:fs';
import { promisify } from 'node:util';
import type { Clock } from '../util/clock.ts';
import { fileAt, idOf, type RotateFile } from './rotate-file.ts';

/** After a rotation that has failed the file goes on growing; each try costs a system call or more. */
const RETRY_MS = 10_000;

const fstatOf: (fd: number, options: { bigint: true }) => Promise<BigIntStats> = promisify(fstat);

export interface RotationOptions {
  readonly path: string;
  readonly maxBytes: number;
  readonly keep: number;
  readonly rotate: RotateFile;
  readonly clock: Clock;
  /** Called with the reason when the file cannot be rotated. */
  readonly onFailure: (why: string) => void;
}

/** Decides before each write to a log file whether a new file is to be begun. */
export class Rotation {
  readonly maxBytes: number;
  readonly #options: RotationOptions;
  #retryMs = 0;

  constructor(options: RotationOptions) {
    this.#options = options;
    this.maxBytes = options.maxBytes;
  }

  /**
   * Whether the path must be opened anew before `bytes` are written to `fd`. Rotates the file first, unless another process
   * has done that: every process measures the file that it has open, so that an idle one notices it at its next line.
   */
  async needsNewFile(fd: number, bytes: number): Promise<boolean> {
    const { path, keep, rotate, clock, maxBytes, onFailure } = this.#options;
    if (clock.now() < this.#retryMs) return false;
    try {
      const open = await fstatOf(fd, { bigint: true });
      if (open.size === 0n || open.size + BigInt(bytes) <= maxBytes) return false;
      const fileId = idOf(open);
      if (!(await isAt(path, fileId))) return true;
      await rotate({ path, fileId, keep });
      if (!(await isAt(path, fileId))) return true;
      throw new Error('it is a link, or something else holds it');
    } catch (error) {
      this.#retryMs = clock.now() + RETRY_MS;
      onFailure(error instanceof Error ? error.message : String(error));
      return false;
    }
  }
}

async function isAt(path: string, fileId: string): Promise<boolean> {
  const stat = await fileAt(path);
  return stat !== undefined && idOf(stat) === fileId;
}
