import { stat } from 'node:fs/promises';
import { FileError } from '../../files/file-terms.ts';
import { readFileAsync } from '../../files/read-file.ts';
import { filesOfTls } from '../../net/tls-material.ts';
import type { Config } from '../config.ts';
import { FILE_BYTES_MAX } from '../file.ts';
import type { FileDigest } from './reload.ts';

/** The digest of a file as `digestOf` has it, worked out beside the event loop. */
export async function digestOfFile(file: string): Promise<FileDigest> {
  try {
    const bytes = await readFileAsync(file, { bytesMax: FILE_BYTES_MAX });
    return { at: 'read', digest: Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('base64') };
  } catch (error) {
    if (error instanceof FileError) return { at: error.code === 'EBUSY' ? 'locked' : 'unreadable' };
    throw error;
  }
}

/** What a reload would read, and the log that it would open anew: texts that differ when either is another one. */
export async function externalStateOf(
  watched: readonly string[],
  { clients, listen, log }: Config,
): Promise<{ readonly files: string; readonly output: string }> {
  const certificates = listen.flatMap(({ settings }) => (settings?.tls === undefined ? [] : filesOfTls(settings.tls)));
  const files = [...watched, ...(typeof clients.users === 'string' ? [clients.users] : []), ...certificates];
  const digests = await Promise.all(files.map(async (file) => [file, await digestOfFile(file)]));
  return { files: JSON.stringify(digests), output: log.file === undefined ? '' : await inodeOf(log.file) };
}

async function inodeOf(file: string): Promise<string> {
  try {
    const { dev, ino } = await stat(file, { bigint: true });
    return `${dev} ${ino}`;
  } catch {
    return 'gone';
  }
}
