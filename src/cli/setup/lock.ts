import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FileError } from '../../files/file-terms.ts';
import { readFileBounded } from '../../files/read-file.ts';
import { UsageError } from '../print.ts';

/** The number of a process. */
const BYTES_MAX = 32;

/** One setup at a time, since each reads and writes the journal. Throws UsageError while another one runs. */
export function lockSetup(stateDir: string): Disposable {
  const path = join(stateDir, 'setup.lock');
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  if (!tryToTake(path)) {
    const holder = holderOf(path);
    if (holder !== undefined && isRunning(holder)) {
      throw new UsageError(`another viaduct setup is at work (process ${holder}); wait for its end`);
    }
    // Left behind by one that was killed.
    rmSync(path, { force: true });
    if (!tryToTake(path)) throw new UsageError('another viaduct setup has just begun; wait for its end');
  }
  return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

function tryToTake(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid}`, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

function holderOf(path: string): number | undefined {
  try {
    const text = readFileBounded(path, { bytesMax: BYTES_MAX, pipes: 'refuse' }).toString('latin1');
    return /^\d+$/.test(text) ? Number(text) : undefined;
  } catch (error) {
    if (error instanceof FileError) return undefined;
    throw error;
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
