import { statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * The text to write to `path`, in Latin-1, so that `CompiledCode.read` takes it: twice the same. Throws where the folder belongs to
 * another user.
 */
export function sealedFor(path: string, bytes: Buffer): string {
  if (!isOurs(dirname(path))) throw new Error(`${path} is in a folder of another user`);
  return bytes.toString('latin1').repeat(2);
}

/** With `sudo`, HOME may be that of another user, who could not use a folder of ours there. */
function isOurs(folder: string): boolean {
  if (process.geteuid === undefined) return true;
  let at = folder;
  let found = statSync(at, { throwIfNoEntry: false });
  while (found === undefined && dirname(at) !== at) {
    at = dirname(at);
    found = statSync(at, { throwIfNoEntry: false });
  }
  return found?.uid === process.geteuid();
}
