import { readFileSync, statSync } from 'node:fs';
import type { UsersOptions } from './options.ts';
import { type PasswordHash, parsePasswordHash } from './password-hash.ts';
import type { Users } from './users.ts';

/** More than a hundred thousand users; a mistaken path to a disk image must not be read into memory. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

/** Users that cannot be used. The message is one line: where, what, and how to mend it; never a hash or a password. */
export class UsersError extends Error {
  override readonly name = 'UsersError';
  /** Of a file; `undefined` when it cannot be read, and for users that stand in the configuration itself. */
  readonly line: number | undefined;
  /** Whose entry it is, for users that stand in the configuration itself: the key under `clients.users`. */
  readonly user: string | undefined;

  constructor(message: string, where: { line?: number; user?: string } = {}) {
    super(message);
    this.line = where.line;
    this.user = where.user;
  }
}

/** Users of an htpasswd file, whose path is taken as it is, or hashes by name. Throws UsersError. */
export function loadUsers(source: UsersOptions): Users {
  if (typeof source === 'string') return parseHtpasswd(readUsersFile(source), source);
  const users = new Map<string, PasswordHash>();
  for (const [name, hash] of Object.entries(source)) {
    try {
      checkName(name);
      users.set(name, parsePasswordHash(hash));
    } catch (error) {
      throw new UsersError(`${quoted(name)} ${messageOf(error)}`, { user: name });
    }
  }
  return users;
}

/** The text of an htpasswd file; `file` is its name in errors. Throws UsersError. */
export function parseHtpasswd(text: string, file: string): Users {
  const users = new Map<string, PasswordHash>();
  const linesOfNames = new Map<string, number>();
  for (const [at, written] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const line = at + 1;
    const entry = written.trim();
    if (entry === '' || entry.startsWith('#')) continue;
    const [name = '', hash, ...more] = entry.split(':');
    const fail = (what: string): never => {
      throw new UsersError(`${file}:${line}: ${what}`, { line });
    };
    if (hash === undefined) fail('has no colon; write name:hash, as htpasswd does');
    if (more.length > 0) fail('has more than one colon; this is no htpasswd file');
    const earlier = linesOfNames.get(name);
    if (earlier !== undefined) fail(`${quoted(name)} is on line ${earlier} already; remove one of the two`);
    linesOfNames.set(name, line);
    try {
      checkName(name);
      users.set(name, parsePasswordHash(hash ?? ''));
    } catch (error) {
      fail(`${quoted(name)} ${messageOf(error)}`);
    }
  }
  if (users.size === 0) throw new UsersError(`${file}: names no user; add one with htpasswd -B ${file} NAME`);
  return users;
}

const CONTROL = /[\0-\x1f\x7f]/;
/** As long as htpasswd takes. */
const NAME_CHARACTERS_MAX = 255;

function checkName(name: string): void {
  if (name === '') throw new Error('is no name');
  if (name.length > NAME_CHARACTERS_MAX) throw new Error(`is longer than ${NAME_CHARACTERS_MAX} characters`);
  if (name.includes(':') || CONTROL.test(name))
    throw new Error('holds a colon or a control character, which Basic cannot send');
}

function readUsersFile(path: string): string {
  try {
    if (statSync(path).size > FILE_BYTES_MAX) throw new UsersError(`${path}: is larger than 16 MiB: no htpasswd file`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof UsersError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new UsersError(`${path}: cannot be read: ${READING[code] ?? (code || String(error))}`, {});
  }
}

const READING: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not read it',
  EISDIR: 'it is a folder',
};

const quoted = (name: string): string => JSON.stringify(name);
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
