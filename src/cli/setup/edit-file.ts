import { createHash, randomUUID } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { markedEncoding } from '../../files/decode-text.ts';
import { FileError } from '../../files/file-terms.ts';
import { readFileBounded } from '../../files/read-file.ts';

/** Configuration files have some KB; a larger one is another thing than its name says. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;
const FILE_MODE = 0o600;
const SHARED_FILE_MODE = 0o644;
const WRITABLE = 0o222;

/** A file of a tool, as text that can be written back. */
export interface OpenedFile {
  /** Where it lies: a symbolic link was followed. */
  readonly path: string;
  /** Empty for a file that does not exist. */
  readonly text: string;
  readonly exists: boolean;
  readonly encoding: 'utf8' | 'utf8-marked' | 'utf16le' | 'latin1';
  readonly mode: number;
  /** What a later look tells apart from this one: of the file that was read. */
  readonly version: string;
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
}

/** A file that setup leaves alone. The message is a sentence that begins with its path. */
export class UntouchedError extends Error {
  override readonly name = 'UntouchedError';
}

/** Throws UntouchedError. `home`: a link that leads out of it is not followed. */
export function openFile(path: string, home: string, scope: 'user' | 'system'): OpenedFile {
  const link = look(path);
  if (link === undefined) {
    const mode = scope === 'system' ? SHARED_FILE_MODE : FILE_MODE;
    return { path, text: '', exists: false, encoding: 'utf8', mode, version: '', owner: undefined };
  }
  const target = link.isSymbolicLink() ? linkTarget(path, home) : path;
  try {
    const stats = statSync(target);
    const bytes = readFileBounded(target, { bytesMax: FILE_BYTES_MAX, pipes: 'refuse' });
    const { text, encoding } = decode(bytes);
    if (!encode(text, encoding).equals(bytes)) throw new FileError('it is not a text');
    const version = versionOf(stats);
    return { path: target, text, exists: true, encoding, mode: stats.mode & 0o7777, version, owner: stats };
  } catch (error) {
    throw untouched(path, error instanceof FileError ? error.why : 'this user may not read it');
  }
}

/** `undefined`: there is nothing. Throws UntouchedError where this user may not look. */
function look(path: string) {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOTDIR') return undefined;
    throw untouched(path, 'this user may not look into its folder');
  }
}

const versionOf = ({ ino, size, mtimeMs }: Pick<Stats, 'ino' | 'size' | 'mtimeMs'>): string =>
  `${ino} ${size} ${mtimeMs}`;

function linkTarget(path: string, home: string): string {
  let target: string;
  try {
    target = realpathSync(path);
  } catch {
    throw untouched(path, 'it is a link to nothing');
  }
  const fromHome = relative(realpathSync(home), target);
  if (fromHome === '..' || fromHome.startsWith(`..${sep}`)) {
    throw untouched(path, `it is a link out of your home, to ${target}`);
  }
  return target;
}

export const untouched = (path: string, why: string): UntouchedError =>
  new UntouchedError(`${path} is left as it is: ${why}`);

/** Its owner has taken the permission away on purpose, although the folder would let us replace it. Throws UntouchedError. */
export function refuseReadOnly({ path, exists, mode }: OpenedFile): void {
  if (exists && (mode & WRITABLE) === 0) throw untouched(path, 'it is read-only');
}

/** Writes it whole or not at all, with mode and owner as they were. Returns the folders that were made, outermost first. */
export function writeText(file: OpenedFile, text: string): readonly string[] {
  refuseReadOnly(file);
  const now = look(file.path);
  if ((now === undefined ? '' : versionOf(now)) !== file.version) {
    throw untouched(file.path, 'another program has changed it just now; do it again');
  }
  const made = missingFolders(dirname(file.path));
  const temporary = join(dirname(file.path), `.viaduct-${randomUUID()}.tmp`);
  try {
    mkdirSync(dirname(file.path), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, encode(text, file.encoding), { mode: FILE_MODE, flag: 'wx' });
    chmodSync(temporary, file.mode);
    const { owner } = file;
    if (owner !== undefined && process.getuid?.() === 0) chownSync(temporary, owner.uid, owner.gid);
    renameSync(temporary, file.path);
  } catch (error) {
    removeIfThere(temporary);
    const isDenied = error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM');
    throw untouched(file.path, isDenied ? 'this user may not write it' : 'it cannot be written');
  }
  return made;
}

/** Its folder may be missing, or a file. */
function removeIfThere(path: string): void {
  if (existsSync(path)) rmSync(path);
}

function missingFolders(folder: string): string[] {
  if (look(folder) !== undefined) return [];
  return [...missingFolders(dirname(folder)), folder];
}

/** Removes a file that setup has made, and of the folders that it has made those that are empty. */
export function removeFile(path: string, folders: readonly string[]): void {
  rmSync(path, { force: true });
  for (const folder of folders.toReversed()) {
    try {
      rmdirSync(folder);
    } catch {
      return;
    }
  }
}

export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

const MARK = '\ufeff';

function decode(bytes: Buffer): Pick<OpenedFile, 'text' | 'encoding'> {
  const marked = markedEncoding(bytes);
  if (marked === 'utf-16le') return { text: bytes.subarray(2).toString('utf16le'), encoding: 'utf16le' };
  if (marked === 'utf-8') return { text: bytes.subarray(3).toString('utf8'), encoding: 'utf8-marked' };
  const text = bytes.toString('utf8');
  // Every byte is a character of Latin 1, so that what another code page means stays as it is.
  return Buffer.from(text, 'utf8').equals(bytes)
    ? { text, encoding: 'utf8' }
    : { text: bytes.toString('latin1'), encoding: 'latin1' };
}

function encode(text: string, encoding: OpenedFile['encoding']): Buffer {
  if (encoding === 'utf16le') return Buffer.from(MARK + text, 'utf16le');
  if (encoding === 'utf8-marked') return Buffer.from(MARK + text, 'utf8');
  return Buffer.from(text, encoding);
}
