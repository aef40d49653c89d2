import { close, constants, fstatSync, open, openSync, type Stats, write } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { asFileError, FileError } from '../files/file-terms.ts';
import { redact } from '../util/redact.ts';
import type { Rotation } from './rotation.ts';

/**
 * Where bytes leave the process. At most one write is under way; the sink sees to that.
 *
 * Which system call is used decides whether a stalled reader stalls us. Measured on Linux with a reader that never reads:
 * - `fs.writeSync`, and `process.stdout` on a terminal, stop the event loop, and with it all traffic;
 * - `fs.write` on a pipe or terminal blocks a thread of the pool, and the process can then no longer exit;
 * - `process.stdout` on a pipe, and a terminal reopened with O_NONBLOCK, block nothing.
 * Hence: pipes are written as streams, terminals reopened, and only plain files use the thread pool.
 */
export interface Outlet {
  /** Largest write that is worth while. */
  readonly chunkBytesMax: number;
  /** `done` comes once. After `fatal` nothing will ever be written here again; after `again` a later try may work. */
  write(chunk: Buffer, done: (result: WriteResult) => void): void;
  /** Opens the same path anew, after a log rotation has moved the file; between two writes. */
  reopen(done: (error: Error | undefined) => void): void;
  close(): void;
}
export type WriteResult =
  | { readonly at: 'written'; readonly bytes: number }
  | { readonly at: 'again'; readonly error: NodeJS.ErrnoException }
  | { readonly at: 'fatal'; readonly error: Error };

/** PIPE_BUF: a longer write may be cut by another process's, where several workers share one pipe (POSIX write(2)). */
const PIPE_CHUNK_BYTES_MAX = 4096;
const FILE_CHUNK_BYTES_MAX = 64 * 1024;

/** O_NONBLOCK: opening a named pipe without a reader must fail (ENXIO) instead of waiting. Absent on Windows. */
const NONBLOCK = constants.O_NONBLOCK ?? 0;
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | NONBLOCK;
/** A log says which user requested what: not readable for every user of the machine. */
const FILE_MODE = 0o640;

/** What `accessLog` is given as standard output: `process.stdout`, or any stream. */
export type OutputStream = Writable & { readonly fd?: number; readonly isTTY?: boolean };

/** A log file that cannot be written: a mistake of the configuration. The message is one whole sentence. */
export class LogFileError extends Error {
  override readonly name = 'LogFileError';
}

/** Opens `path` for appending; only a plain file is rotated. Throws LogFileError. */
export function fileOutlet(path: string, rotation?: Rotation): Outlet {
  let fd: number;
  try {
    fd = openSync(path, APPEND, FILE_MODE);
  } catch (cause) {
    throw new LogFileError(`log.file: ${redact(path)} cannot be written: ${whyUnwritable(cause)}`, { cause });
  }
  const stat = fstatSync(fd);
  if (stat.isFIFO()) return streamOutlet(new Socket({ fd, readable: false, writable: true }));
  return descriptorOutlet(fd, path, stat.isFile() ? rotation : undefined);
}

function whyUnwritable(cause: unknown): string {
  const error = asFileError(cause);
  if (!(error instanceof FileError)) return error.message;
  const own: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such folder',
    ENOTDIR: 'there is no such folder',
    EACCES: 'this user may not write it',
    EPERM: 'this user may not write it',
    EROFS: 'nothing can be written there',
    ENXIO: 'it is a pipe that no program reads',
  };
  return own[error.code] ?? error.why;
}

/** An outlet for the file, terminal or pipe that standard output or standard error is connected to. */
export function outputOutlet(output: OutputStream): Outlet {
  const fd = output.fd;
  const stat = fd === undefined ? undefined : statOf(fd);
  if (fd === undefined || stat === undefined) return streamOutlet(output);
  if (stat.isFile()) return descriptorOutlet(fd, undefined);
  if (stat.isCharacterDevice() && process.platform !== 'win32') return descriptorOutlet(reopened(fd), undefined);
  return streamOutlet(output);
}

const statOf = (fd: number): Stats | undefined => {
  try {
    return fstatSync(fd);
  } catch {
    return undefined;
  }
};

/** The same terminal once more, as a description of our own: O_NONBLOCK on the shared one would hit the shell as well. */
function reopened(fd: number): number {
  try {
    return openSync(`/dev/fd/${fd}`, constants.O_WRONLY | constants.O_NOCTTY | NONBLOCK);
  } catch {
    return fd;
  }
}

function streamOutlet(stream: Writable): Outlet {
  // A write that fails calls back; without a listener the same error would also end the process.
  const ignore = () => {};
  let failed = false;
  stream.on('error', ignore);
  return {
    chunkBytesMax: PIPE_CHUNK_BYTES_MAX,
    write(chunk, done) {
      // A stream may keep what it was given for longer than its callback says, and the memory is used again.
      stream.write(Buffer.from(chunk), (error) => {
        failed ||= Boolean(error);
        done(error ? { at: 'fatal', error } : { at: 'written', bytes: chunk.length });
      });
    },
    reopen: (done) => done(undefined),
    /** The stream is not ours to end. Its `error` comes after the call back, and a write under way may yet fail. */
    close() {
      if (!failed && stream.writableLength === 0) stream.off('error', ignore);
    },
  };
}

/** After these the descriptor is of no use: the terminal hung up, the reader left, or the program closed it. */
const FATAL: ReadonlySet<string> = new Set(['EPIPE', 'EIO', 'EBADF', 'ENXIO']);

function descriptorOutlet(first: number, path: string | undefined, rotation?: Rotation): Outlet {
  let fd = first;
  let isClosed = false;
  const outlet: Outlet = {
    // One write is never split between two files.
    chunkBytesMax: Math.min(FILE_CHUNK_BYTES_MAX, rotation?.maxBytes ?? FILE_CHUNK_BYTES_MAX),
    write(chunk, done) {
      if (rotation === undefined) return append(chunk, done);
      rotation.needsNewFile(fd, chunk.length).then((isNeeded) => {
        if (!isNeeded) return append(chunk, done);
        // Where it cannot be opened, the line still belongs to the old file.
        outlet.reopen(() => append(chunk, done));
      });
    },
    reopen(done) {
      if (path === undefined) return done(undefined);
      open(path, APPEND, FILE_MODE, (error, opened) => {
        if (error) return done(error);
        // The number of the old one may be that of another file by now.
        if (isClosed) return close(opened, () => {});
        close(fd, () => {});
        fd = opened;
        done(undefined);
      });
    },
    close() {
      isClosed = true;
      if (fd > 2) close(fd, () => {});
    },
  };
  const append: Outlet['write'] = (chunk, done) => {
    if (isClosed) return;
    write(fd, chunk, (error, bytes) => {
      if (!error) done({ at: 'written', bytes });
      else done({ at: FATAL.has(error.code ?? '') && path === undefined ? 'fatal' : 'again', error });
    });
  };
  return outlet;
}
