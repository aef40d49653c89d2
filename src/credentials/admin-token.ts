import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import type { TokenOrigin } from '../admin/options.ts';
import { readFileBounded } from '../files/read-file.ts';
import { replaceFile } from '../files/replace-file.ts';
import { errorCode } from '../util/error-code.ts';

const TOKEN_BYTES = 32;
const FILE_BYTES_MAX = 4096;
/** Group and others. On Windows the bits mean nothing. */
const NOT_OURS = 0o077;

/** A token that cannot be used; the message says what to do. */
export class TokenError extends Error {
  override readonly name = 'TokenError';
}

/** The token of the API. */
export interface AdminToken {
  /** As it is now: another process may have replaced it. */
  read(): string;
  /** Makes another one. Throws TokenError where the configuration says what it is. */
  rotate(): string;
}

export interface TokenPlaces {
  readonly origin: TokenOrigin | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `undefined`: the token is kept in memory alone. */
  readonly stateDir: string | undefined;
}

/** Throws TokenError when the configured token cannot be read. */
export function adminToken({ origin, environment, stateDir }: TokenPlaces): AdminToken {
  if (origin !== undefined) return configuredToken(origin, environment);
  return stateDir === undefined ? memoryToken() : storedToken(tokenFile(stateDir));
}

/** Why a configured token cannot be used; `undefined`: it can. Repeats nothing of it. */
export function problemOfToken(origin: TokenOrigin, environment: TokenPlaces['environment']): string | undefined {
  try {
    configuredToken(origin, environment);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Compares hashes, so that neither length nor content decides how long it takes. */
export function isToken(given: string, token: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(given), hash(token));
}

const tokenFile = (stateDir: string): string => join(stateDir, 'admin-token');

const randomToken = (): string => randomBytes(TOKEN_BYTES).toString('base64url');

function memoryToken(): AdminToken {
  let token = randomToken();
  return {
    read: () => token,
    rotate() {
      token = randomToken();
      return token;
    },
  };
}

/** All proxies of one user share it, so that it is read anew each time: any of them may replace it. */
function storedToken(path: string): AdminToken {
  let last: string | undefined;
  const write = (): string => {
    last = randomToken();
    replaceFile(path, `${last}\n`);
    return last;
  };
  return {
    read() {
      const stored = readStored(path);
      if (stored !== undefined) last = stored;
      return last ?? write();
    },
    rotate: write,
  };
}

/** `undefined`: there is none, or it cannot be used, and another is made. */
function readStored(path: string): string | undefined {
  try {
    return tokenIn(readFileBounded(path, { bytesMax: FILE_BYTES_MAX, pipes: 'refuse', check: refuseUnlessPrivate }));
  } catch {
    return undefined;
  }
}

function configuredToken(origin: TokenOrigin, environment: TokenPlaces['environment']): AdminToken {
  const read = () => (origin.kind === 'env' ? fromVariable(origin.name, environment) : fromFile(origin.path));
  let last = read();
  const where = origin.kind === 'env' ? `the environment variable ${origin.name}` : 'a file of yours';
  return {
    read() {
      try {
        last = read();
      } catch {
        // The file is being replaced: the token of before still holds.
      }
      return last;
    },
    rotate() {
      throw new TokenError(`the token comes from ${where}; change it there`);
    },
  };
}

function fromVariable(name: string, environment: TokenPlaces['environment']): string {
  const token = environment[name]?.trim() ?? '';
  if (token === '') throw new TokenError(`the environment variable ${name} is not set; put the token into it`);
  return checked(token, `the environment variable ${name}`);
}

function fromFile(path: string): string {
  try {
    const terms = { bytesMax: FILE_BYTES_MAX, pipes: 'refuse', check: refuseUnlessPrivate } as const;
    const token = tokenIn(readFileBounded(path, terms));
    if (token === undefined) throw new TokenError('the file of the token is empty');
    return checked(token, 'the file of the token');
  } catch (error) {
    if (error instanceof TokenError) throw error;
    if (errorCode(error) === 'ENOENT') throw new TokenError('the file of the token does not exist');
    throw new TokenError(`the file of the token cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

/** It travels in a header field, and one that is short can be guessed. */
function checked(token: string, where: string): string {
  if (!/^[\x21-\x7e]{16,1024}$/.test(token)) {
    throw new TokenError(`${where} must hold 16 or more visible ASCII characters without spaces`);
  }
  return token;
}

function tokenIn(bytes: Buffer): string | undefined {
  const token = bytes.toString('utf8').trim();
  return token === '' ? undefined : token;
}

function refuseUnlessPrivate(stats: Stats): void {
  if (process.platform === 'win32') return;
  if ((stats.mode & NOT_OURS) !== 0) throw new TokenError('the file of the token can be read by others; chmod 600 it');
}
