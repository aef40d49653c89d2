import { close, constants, fstatSync, open, openSync, type Stats, write } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { ProxyError } from '../core/failure.ts';

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

/** O_NONBLOCK: opening a named pipe that nobody reads must fail (ENXIO) instead of waiting. Absent on Windows. */
const NONBLOCK = constants.O_NONBLOCK ?? 0;
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | NONBLOCK;
/** A log says who went where: not for everybody on the machine. */
const FILE_MODE = 0o640;

/** What `accessLog` is given as standard output: `process.stdout`, or any stream. */
export type OutputStream = Writable & { readonly fd?: number; readonly isTTY?: boolean };

/** Opens `path` for appending. Throws ProxyError `internal` with the path and the reason. */
export function fileOutlet(path: string): Outlet {
  let fd: number;
  try {
    fd = openSync(path, APPEND, FILE_MODE);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ProxyError('internal', `cannot write to the log file: ${why}`, { cause });
  }
  if (fstatSync(fd).isFIFO()) return streamOutlet(new Socket({ fd, readable: false, writable: true }));
  return descriptorOutlet(fd, path);
}

/** Whatever standard output or standard error is connected to. */
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
      stream.write(chunk, (error) => {
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

/** After these the descriptor is of no use: the terminal hung up, the reader left, or somebody closed it. */
const FATAL: ReadonlySet<string> = new Set(['EPIPE', 'EIO', 'EBADF', 'ENXIO']);

function descriptorOutlet(first: number, path: string | undefined): Outlet {
  let fd = first;
  return {
    chunkBytesMax: FILE_CHUNK_BYTES_MAX,
    write(chunk, done) {
      write(fd, chunk, (error, bytes) => {
        if (!error) done({ at: 'written', bytes });
        else done({ at: FATAL.has(error.code ?? '') && path === undefined ? 'fatal' : 'again', error });
      });
    },
    reopen(done) {
      if (path === undefined) return done(undefined);
      open(path, APPEND, FILE_MODE, (error, opened) => {
        if (error) return done(error);
        close(fd, () => {});
        fd = opened;
        done(undefined);
      });
    },
    close() {
      if (fd > 2) close(fd, () => {});
    },
  };
}
