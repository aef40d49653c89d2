import { randomUUID } from 'node:crypto';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Our files tell what the user of this process does: no other user may read them. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** In the same folder, since rename(2) is atomic within one file system. No two writers may share a temporary file. */
const temporaryPath = (path: string): string => `${path}.${randomUUID()}.tmp`;

/**
 * Writes a file of ours whole or not at all: a reader sees the old text or the new one. Does not wait for the disk, since
 * it blocks the event loop: after a power failure the file may be empty.
 */
export function replaceFile(path: string, text: string, encoding: BufferEncoding = 'utf8'): void {
  mkdirSync(dirname(path), { recursive: true, mode: FOLDER_MODE });
  const temporary = temporaryPath(path);
  try {
    writeFileSync(temporary, text, { mode: FILE_MODE, flag: 'wx', encoding });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** As `replaceFile`, and also after a power failure the old text or the new one: it is on the disk before the rename. */
export async function replaceFileDurably(path: string, text: string, encoding: BufferEncoding = 'utf8'): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  const temporary = temporaryPath(path);
  try {
    await using file = await open(temporary, 'wx', FILE_MODE);
    await file.writeFile(text, encoding);
    await file.sync();
    await file.close();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** Without it a power failure may undo the rename; Windows cannot open a folder and does not need it. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  await using folder = await open(path, 'r');
  await folder.sync();
}
