import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';

/** Mode bits that let the group and others write. */
const WRITABLE_BY_OTHERS = 0o022;

/** Why another user could have written the file, and what to do; `undefined`: only this user could. */
export function ownFileFault({ uid, mode }: Pick<Stats, 'uid' | 'mode'>, path: string): string | undefined {
  // Windows has neither owners nor modes of this kind; a file in a user's profile belongs to that user.
  const ownUid = process.geteuid?.();
  if (ownUid === undefined) return undefined;
  if (uid !== ownUid) return `${path} belongs to another user (uid ${uid}); remove it`;
  if ((mode & WRITABLE_BY_OTHERS) !== 0) return `${path} can be written by others; run chmod go-w ${path}`;
  return undefined;
}

/** The same for a folder; a symbolic link is a fault. Rejects with the error of `node:fs`. */
export async function folderFault(path: string): Promise<string | undefined> {
  const status = await lstat(path);
  if (status.isSymbolicLink()) return `${path} is a symbolic link; remove it`;
  return ownFileFault(status, path);
}
