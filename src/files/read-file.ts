import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import {
  asFileError,
  CHUNK_BYTES,
  ChunkCollector,
  codeOf,
  FileError,
  OPEN,
  type ReadTerms,
  refuseUnlessReadable,
} from './file-terms.ts';

/** A program may open the named pipe for writing a moment later. */
const WRITER_OPENS_MS_MAX = 2_000;
/** All of a pipe: long enough for a person who types the PIN of the key that decrypts it. */
const PIPE_MS_MAX = 30_000;
const POLL_INTERVAL_MS = 10;

/** Reads a whole file, in one go of the event loop. Throws FileError, or what `check` throws. */
export function readFileBounded(path: string, terms: ReadTerms): Buffer {
  let file: number | undefined;
  try {
    // Opening a device may have an effect, so its kind is checked before; what was opened is checked again.
    refuseUnlessReadable(statSync(path), path, terms);
    file = openSync(path, OPEN);
    const opened = fstatSync(file);
    refuseUnlessReadable(opened, path, terms);
    terms.check?.(opened);
    return opened.isFIFO() ? readPipe(file, terms) : readRegular(file, terms);
  } catch (error) {
    throw asFileError(error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** As `readFileBounded`, for a regular file that may lie on a disk or a share that takes its time. */
export async function readFileAsync(path: string, terms: Omit<ReadTerms, 'pipes'>): Promise<Buffer> {
  const whole: ReadTerms = { ...terms, pipes: 'refuse' };
  try {
    refuseUnlessReadable(await stat(path), path, whole);
    await using file = await open(path, OPEN);
    const opened = await file.stat();
    refuseUnlessReadable(opened, path, whole);
    terms.check?.(opened);
    const gathered = new ChunkCollector(whole);
    const own = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(own, 0, CHUNK_BYTES, null);
      if (bytesRead === 0) return gathered.whole();
      gathered.add(own.subarray(0, bytesRead));
    }
  } catch (error) {
    throw asFileError(error);
  }
}

function readRegular(file: number, terms: ReadTerms): Buffer {
  const gathered = new ChunkCollector(terms);
  for (;;) {
    const chunk = readChunk(file);
    if (chunk === undefined || chunk.length === 0) return gathered.whole();
    gathered.add(chunk);
  }
}

/** The thread sleeps between two reads: no request is served yet. */
function readPipe(file: number, terms: ReadTerms): Buffer {
  const gathered = new ChunkCollector(terms);
  const startedMs = performance.now();
  for (let hadWriter = false; ; ) {
    const chunk = readChunk(file);
    const waitedMs = performance.now() - startedMs;
    if (waitedMs > PIPE_MS_MAX) throw new FileError(`it is a pipe without an end after ${PIPE_MS_MAX / 1000} s`);
    if (chunk !== undefined && chunk.length > 0) {
      hadWriter = true;
      gathered.add(chunk);
      continue;
    }
    // No chunk: a writer has the pipe open and has written nothing. An empty chunk: no writer has it open, any more or yet.
    hadWriter ||= chunk === undefined;
    if (chunk !== undefined && hadWriter) return gathered.whole();
    if (!hadWriter && waitedMs > WRITER_OPENS_MS_MAX) throw new FileError('it is a pipe that no program writes into');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL_INTERVAL_MS);
  }
}

const buffer = Buffer.allocUnsafe(CHUNK_BYTES);

/** `undefined`: nothing is there now, and a program may still write. Empty: the end. Valid until the next call. */
function readChunk(file: number): Buffer | undefined {
  try {
    return buffer.subarray(0, readSync(file, buffer, 0, CHUNK_BYTES, null));
  } catch (error) {
    if (codeOf(error) === 'EAGAIN') return undefined;
    throw error;
  }
}
