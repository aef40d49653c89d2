import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { CredentialSecret } from '../contracts/upstream-account.ts';
import { decodeText } from '../files/decode-text.ts';
import { FileError } from '../files/file-terms.ts';
import { readFileAsync, readFileBounded } from '../files/read-file.ts';
import { parseSecret } from './secret-text.ts';

/** A password or a few lines of hashes; a mistaken path must not be read into memory. */
const FILE_BYTES_MAX = 64 * 1024;
/** Group and others. On Windows the bits mean nothing, and access is ruled by lists. */
const NOT_OURS = 0o077;

/** A file that cannot be used as a secret. The message is one sentence without the path, and repeats nothing of the file. */
export class SecretFileError extends Error {
  override readonly name = 'SecretFileError';
}

const TERMS = { bytesMax: FILE_BYTES_MAX, check: refuseUnlessPrivate } as const;

/** Reads the secret in a file that its owner alone can read. Throws SecretFileError. */
export async function readSecretFile(path: string): Promise<CredentialSecret> {
  try {
    return secretOf(await readFileAsync(path, TERMS));
  } catch (error) {
    throw fileError(error);
  }
}

/** When the file was written last, on the wall clock; `undefined` while there is none. */
export async function writtenMs(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch {
    return undefined;
  }
}

/** As `readSecretFile`, for the check of a configuration: returns what is wrong, and no secret. */
export function problemOfSecretFile(path: string): string | undefined {
  try {
    secretOf(readFileBounded(path, { ...TERMS, pipes: 'refuse' }));
    return undefined;
  } catch (error) {
    return fileError(error).message;
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
  if (process.platform === 'win32') return;
  if ((stats.mode & NOT_OURS) !== 0) throw new SecretFileError('can be read by others; chmod 600 it');
}

function secretOf(bytes: Buffer): CredentialSecret {
  const secret = parseSecret(decodeText(bytes).text);
  if (secret === undefined) throw new SecretFileError('holds neither one line nor what viaduct hash prints');
  return secret;
}

const READING: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EACCES: 'may not be read by this user',
  EISDIR: 'is not a regular file',
  ENXIO: 'is not a regular file',
  EFBIG: 'is larger than 64 KiB, which no secret is',
};

function fileError(error: unknown): SecretFileError {
  if (error instanceof SecretFileError) return error;
  const { code, why }: Partial<FileError> = error instanceof FileError ? error : { code: 'unknown error' };
  if (code === '') return new SecretFileError('is not a regular file', { cause: error });
  return new SecretFileError(READING[code] ?? `cannot be read: ${why ?? code}`, { cause: error });
}
