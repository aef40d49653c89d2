import { closeSync, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { CredentialSecret } from '../core/contracts.ts';
import { secretIn } from './secret-text.ts';

/** A password or a few lines of hashes; a mistaken path must not be read into memory. */
const FILE_BYTES_MAX = 64 * 1024;
/** Group and others. On Windows the bits say nothing, and access is ruled by lists. */
const NOT_OURS = 0o077;

/** A file that holds no secret of ours. The message is one sentence without the path, and repeats nothing of the file. */
export class SecretFileError extends Error {
  override readonly name = 'SecretFileError';
}

/** Reads the secret in a file that its owner alone can read. Throws SecretFileError. */
export async function readSecretFile(path: string): Promise<CredentialSecret> {
  return translated(async () => {
    await using file = await open(path, 'r');
    // What was opened is what is judged: between a look and an opening the file could become another.
    refuseUnlessPrivate(await file.stat());
    const { bytesRead, buffer } = await file.read(Buffer.alloc(FILE_BYTES_MAX), 0, FILE_BYTES_MAX, 0);
    return secretOf(buffer.subarray(0, bytesRead));
  });
}

/** As `readSecretFile`, for the check of a configuration: says what is wrong, and gives no secret. */
export function problemOfSecretFile(path: string): string | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    refuseUnlessPrivate(fstatSync(file));
    const buffer = Buffer.alloc(FILE_BYTES_MAX);
    secretOf(buffer.subarray(0, readSync(file, buffer, 0, FILE_BYTES_MAX, 0)));
    return undefined;
  } catch (error) {
    return fileError(error).message;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Differs when the file is another one, or was written; `undefined` while there is none. */
export async function versionOfFile(path: string): Promise<string | undefined> {
  try {
    const { mtimeNs, ctimeNs, ino, size } = await stat(path, { bigint: true });
    return `${mtimeNs}.${ctimeNs}.${ino}.${size}`;
  } catch {
    return undefined;
  }
}

function refuseUnlessPrivate(stats: Stats): void {
  if (!stats.isFile()) throw new SecretFileError('is no file');
  if (stats.size > FILE_BYTES_MAX) throw new SecretFileError('is larger than 64 KiB: that is no secret');
  if (process.platform === 'win32') return;
  if ((stats.mode & NOT_OURS) !== 0) throw new SecretFileError('can be read by others; chmod 600 it');
}

function secretOf(bytes: Buffer): CredentialSecret {
  const secret = secretIn(bytes.toString('utf8'));
  if (secret === undefined) throw new SecretFileError('holds neither one line nor what viaduct hash prints');
  return secret;
}

const READING: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EACCES: 'may not be read by this user',
  EISDIR: 'is no file',
};

async function translated<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw fileError(error);
  }
}

function fileError(error: unknown): SecretFileError {
  if (error instanceof SecretFileError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  return new SecretFileError(READING[code] ?? `cannot be read: ${code}`, { cause: error });
}
