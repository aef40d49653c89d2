import { decodeText } from '../files/decode-text.ts';
import { FileError } from '../files/file-terms.ts';
import { readFileBounded } from '../files/read-file.ts';
import { quoted, redact } from '../util/redact.ts';
import { atOnce, type Sliced } from '../util/slices.ts';
import { joinHashes, parseDigestLine } from './digest-line.ts';
import { NAME_CHARACTERS_MAX } from './lengths.ts';
import type { UsersOptions } from './options.ts';
import { type PasswordHash, parsePasswordHash } from './password-hash.ts';
import type { Users } from './users.ts';

/** More than a hundred thousand users; a mistaken path to a disk image must not be read into memory. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

/** Invalid users. The message is one line: where, what, and how to mend it; never a hash or a password. */
export class UsersError extends Error {
  override readonly name = 'UsersError';
  /** Of a file; `undefined` when it cannot be read, and for users of the configuration itself. */
  readonly line: number | undefined;
  /** For users of the configuration itself: the key under `clients.users`. */
  readonly user: string | undefined;

  constructor(message: string, where: { line?: number; user?: string } = {}) {
    super(message);
    this.line = where.line;
    this.user = where.user;
  }
}

/** Users of an htpasswd file, by its path, or hashes by name. Throws UsersError. */
export const loadUsers = (source: UsersOptions): Users => atOnce(buildUsers(source));

/** As `loadUsers`, in slices: an htpasswd file may have a hundred thousand lines. */
export function* buildUsers(source: UsersOptions): Sliced<Users> {
  if (typeof source === 'string') return yield* parseHtpasswd(readUsersFile(source), source);
  const users = new Map<string, PasswordHash>();
  for (const [name, hash] of Object.entries(source)) {
    yield;
    try {
      checkName(name);
      users.set(name, parseDigestLine(name, hash) ?? parsePasswordHash(hash));
    } catch (error) {
      throw new UsersError(`${quoted(name)} ${messageOf(error)}`, { user: name });
    }
  }
  checkRealms(users, 'clients.users');
  return users;
}

/** A challenge of Digest has one realm, and a hash is good for its own realm alone. Throws UsersError. */
function checkRealms(users: Users, where: string): void {
  const realms = new Set([...users.values()].flatMap(({ digest }) => (digest === undefined ? [] : [digest.realm])));
  const [first, second] = realms;
  if (second === undefined) return;
  throw new UsersError(
    `${where}: has Digest hashes for two realms, ${quoted(first ?? '')} and ${quoted(second)}; make all for one`,
  );
}

/** The text of an htpasswd file; `file` is its name in errors. Throws UsersError. */
export function* parseHtpasswd(text: string, file: string): Sliced<Users> {
  const users = new Map<string, PasswordHash>();
  const linesOfNames = new Map<string, number>();
  for (const [at, written] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    yield;
    const line = at + 1;
    const entry = written.trim();
    if (entry === '' || entry.startsWith('#')) continue;
    const [name = '', hash, ...more] = entry.split(':');
    const digest = more.length === 1 ? parseDigestLine(name, entry.slice(name.length + 1)) : undefined;
    const fail = (what: string): never => {
      throw new UsersError(`${file}:${line}: ${what}`, { line });
    };
    if (hash === undefined) fail('has no colon; write name:hash, as htpasswd does');
    if (more.length > 0 && digest === undefined)
      fail(
        'has more than one colon, and no hash of Digest behind them; write name:hash, or name:realm:hash as htdigest does',
      );
    const earlier = linesOfNames.get(name);
    linesOfNames.set(name, line);
    let twice: string | undefined;
    try {
      checkName(name);
      const parsed = digest ?? parsePasswordHash(hash ?? '');
      const before = users.get(name);
      const joined = before === undefined ? parsed : joinHashes(before, parsed);
      if (joined !== undefined) users.set(name, joined);
      else twice = `${quoted(name)} is already on line ${earlier}; remove one of the two`;
    } catch (error) {
      fail(`${quoted(name)} ${messageOf(error)}`);
    }
    if (twice !== undefined) fail(twice);
  }
  checkRealms(users, file);
  if (users.size === 0) throw new UsersError(`${file}: has no user; add one with htpasswd -B ${file} NAME`);
  return users;
}

const CONTROL = /[\0-\x1f\x7f]/;

function checkName(name: string): void {
  if (name === '') throw new Error('is not a valid name; write at least one character');
  if (name.length > NAME_CHARACTERS_MAX)
    throw new Error(`is longer than ${NAME_CHARACTERS_MAX} characters; shorten it`);
  if (name.includes(':') || CONTROL.test(name))
    throw new Error('has a colon or a control character, which Basic cannot send; leave it out');
}

function readUsersFile(path: string): string {
  try {
    return decodeText(readFileBounded(path, { bytesMax: FILE_BYTES_MAX, pipes: 'refuse' })).text;
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    if (error.code === 'EFBIG')
      throw new UsersError(`${redact(path)}: is larger than 16 MiB, so it is not an htpasswd file; check the path`);
    throw new UsersError(`${redact(path)}: cannot be read: ${error.why}`);
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
