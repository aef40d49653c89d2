import { constants, type Stats } from 'node:fs';
import { formatBytes } from '../settings/units.ts';

/** How a file that a path names may be read. */
export interface ReadTerms {
  /** A file that is larger is refused before it is read: a mistaken path may name the image of a disk. */
  readonly bytesMax: number;
  /**
   * What to do with a pipe, such as the `/dev/fd/63` of a shell's `<(…)`. It can be read once, and the writer decides how
   * long that takes: `wait` is for commands and for the start, `refuse` for what is read while requests are served.
   */
  readonly pipes: 'wait' | 'refuse';
  /** Called with the state of the opened file before anything is read: a path could name another file by then. */
  readonly check?: (opened: Stats) => void;
}

/** A file that cannot be read. `why` is a whole sentence without the path: "there is no such file". */
export class FileError extends Error {
  override readonly name = 'FileError';
  readonly why: string;
  /** The system's error code; empty for a file that is refused here. */
  readonly code: string;

  constructor(why: string, code: string = '', cause?: unknown) {
    super(why, { cause });
    this.why = why;
    this.code = code;
  }
}

/** Without a wait for the other end of a named pipe. Windows has no such flag, and no pipe in its file system. */
export const OPEN: number = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
export const CHUNK_BYTES = 65_536;

/** A regular file, a pipe where that is asked for, or `/dev/null`, which is empty: anything else might never end. */
export function refuseUnlessReadable(stats: Stats, path: string, { bytesMax, pipes }: ReadTerms): void {
  if (stats.isDirectory()) throw new FileError('it is a folder', 'EISDIR');
  if (stats.isFIFO()) {
    if (pipes === 'wait') return;
    throw new FileError('it is not a regular file but a pipe, which can be read only once');
  }
  if (!stats.isFile() && path !== '/dev/null') throw new FileError('it is not a regular file');
  if (stats.size > bytesMax) throw tooLarge(bytesMax);
}

/** What was read so far. Counted as it arrives: files of /proc have no size, and others grow meanwhile. */
export class ChunkCollector {
  readonly #chunks: Buffer[] = [];
  readonly #bytesMax: number;
  #bytes = 0;

  constructor({ bytesMax }: ReadTerms) {
    this.#bytesMax = bytesMax;
  }

  /** Copies it: a reader uses its buffer again, and a writer of single bytes must not keep a buffer for each. */
  add(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#bytesMax) throw tooLarge(this.#bytesMax);
    this.#chunks.push(Buffer.from(chunk));
  }

  whole(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

const tooLarge = (bytesMax: number): FileError => new FileError(`it is larger than ${formatBytes(bytesMax)}`, 'EFBIG');

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'this user may not read it',
  EPERM: 'this user may not read it',
  EBUSY: 'another program has locked it',
  EISDIR: 'it is a folder',
  ENXIO: 'it is not a regular file',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'its symbolic links form a circle',
};

/** The system's error in plain words. What `check` has thrown stays as it is. */
export function asFileError(error: unknown): Error {
  if (!(error instanceof Error)) return new FileError(String(error));
  const code = codeOf(error);
  return code === '' ? error : new FileError(WHY[code] ?? `the system says ${code}`, code, error);
}

export const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && !(error instanceof FileError) ? String(error.code) : '';
