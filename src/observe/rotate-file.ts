import type { BigIntStats } from 'node:fs';
import { lstat, rename } from 'node:fs/promises';

/** A log file that has reached its size. */
export interface FullFile {
  readonly path: string;
  /** The file that its writer has open (`idOf`): by now another process may have moved it away. */
  readonly fileId: string;
  /** Rotated files that stay. */
  readonly keep: number;
}

/** Moves a full file away; afterwards its writers open its path anew. Rejects when it cannot be moved. */
export type RotateFile = (full: FullFile) => Promise<void>;

/** Names a file on this machine for as long as it exists, also under another path. */
export const idOf = ({ dev, ino }: BigIntStats): string => `${dev}:${ino}`;

/** What stands at the path itself; `undefined`: nothing. */
export async function fileAt(path: string): Promise<BigIntStats | undefined> {
  try {
    return await lstat(path, { bigint: true });
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/**
 * `FILE` becomes `FILE.1`, that `FILE.2`, and so on; the last one that stays is overwritten. Does nothing when another
 * file is at the path by now. A link is left alone: what is moved would be the link, which may be /dev/stdout.
 */
export async function rotateFile({ path, fileId, keep }: FullFile): Promise<void> {
  const stat = await fileAt(path);
  if (stat === undefined || idOf(stat) !== fileId || !stat.isFile()) return;
  for (let n = await firstFree(path, keep); n > 1; n--) await rename(`${path}.${n - 1}`, `${path}.${n}`);
  await rename(path, `${path}.1`);
}

/** The first number that has no file, or the last one that may have one: files behind a gap stay as they are. */
async function firstFree(path: string, keep: number): Promise<number> {
  let n = 1;
  while (n < keep && (await fileAt(`${path}.${n}`)) !== undefined) n++;
  return n;
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

/** Rotates one file after another, as for several processes that write the same one. */
export function oneAtATime(rotate: RotateFile): RotateFile {
  let last: Promise<unknown> = Promise.resolve();
  return (full) => {
    const rotated = last.then(() => rotate(full));
    last = rotated.catch(() => undefined);
    return rotated;
  };
}
