import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readFileBounded } from '../files/read-file.ts';
import { replaceFile } from '../files/replace-file.ts';

const KEY_BYTES = 32;

/**
 * Key of the ids of credentials (credential.ts), the same at every start: what is latched on disk is known by these ids,
 * and means nothing without the key. Where the folder cannot be written the key is another one each time.
 */
export function stableIdKey(stateDir: string): Buffer {
  const path = join(stateDir, 'latch.key');
  const found = readKey(path);
  if (found !== undefined) return found;
  const made = randomBytes(KEY_BYTES);
  try {
    replaceFile(path, `${made.toString('base64')}\n`);
  } catch {
    // A latch that does not outlive this process still holds in it.
  }
  return made;
}

function readKey(path: string): Buffer | undefined {
  try {
    const key = Buffer.from(readFileBounded(path, { bytesMax: 1024, pipes: 'refuse' }).toString('latin1'), 'base64');
    return key.length === KEY_BYTES ? key : undefined;
  } catch {
    return undefined;
  }
}
