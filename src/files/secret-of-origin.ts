import type { Stats } from 'node:fs';
import { Secret } from '../contracts/secret.ts';
import type { SecretOrigin } from '../settings/secret-origin.ts';
import { FileError } from './file-terms.ts';
import { readFileBounded } from './read-file.ts';

const FILE_BYTES_MAX = 64 * 1024;
/** Group and others. On Windows the bits mean nothing. */
const NOT_OURS = 0o077;

/** A secret that cannot be used; the message says what to do, and repeats nothing of it. */
export class SecretOriginError extends Error {
  override readonly name = 'SecretOriginError';
}

/** Throws SecretOriginError. */
export function secretOf(origin: SecretOrigin, environment: Readonly<Record<string, string | undefined>>): Secret {
  const text = (origin.kind === 'env' ? environment[origin.name] : textOf(origin.path))?.trim() ?? '';
  if (text !== '') return new Secret(text);
  throw new SecretOriginError(
    origin.kind === 'env'
      ? `the environment variable ${origin.name} is not set; put the secret into it`
      : 'the file of the secret is empty; put the secret into it',
  );
}

/** Why a secret cannot be used; `undefined`: it can. */
export function problemOfSecret(
  origin: SecretOrigin,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  try {
    secretOf(origin, environment);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function textOf(path: string): string {
  try {
    const terms = { bytesMax: FILE_BYTES_MAX, pipes: 'refuse', check: refuseUnlessPrivate } as const;
    return readFileBounded(path, terms).toString('utf8');
  } catch (error) {
    if (error instanceof SecretOriginError) throw error;
    const why = error instanceof FileError ? error.why : 'it cannot be read';
    throw new SecretOriginError(`the file of the secret: ${why}`);
  }
}

function refuseUnlessPrivate(stats: Stats): void {
  if (process.platform === 'win32') return;
  if ((stats.mode & NOT_OURS) !== 0) {
    throw new SecretOriginError('the file of the secret can be read by others; chmod 600 it');
  }
}
