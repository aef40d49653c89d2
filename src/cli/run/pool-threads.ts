import { readFileSync } from 'node:fs';

/**
 * Threads of libuv's pool, half of which may look up names. A lookup that hangs keeps its thread for 10 s or more, and
 * one thread costs 8 KB and 20 µs.
 */
const THREADS = 128;
/** What a container with few processes gets: libuv ends the process when it cannot start all its threads. */
const THREADS_MIN = 16;
/** Of the threads that a container may have: there may be several workers, and other programs. */
const SHARE = 16;

/** Where a container sees how many threads it may have (cgroup v2); elsewhere there is no such file, or it says `max`. */
const PIDS_MAX = '/sys/fs/cgroup/pids.max';

/** Value for UV_THREADPOOL_SIZE. Reads its file without the pool, which takes its size when it is first used. */
export function poolThreads(pidsMax: string | undefined = readPidsMax()): number {
  const pids = Number.parseInt(pidsMax ?? '', 10);
  if (Number.isNaN(pids)) return THREADS;
  return Math.min(THREADS, Math.max(THREADS_MIN, Math.floor(pids / SHARE)));
}

function readPidsMax(): string | undefined {
  try {
    return readFileSync(PIDS_MAX, 'latin1');
  } catch {
    return undefined;
  }
}
