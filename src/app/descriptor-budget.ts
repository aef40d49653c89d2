import { readFileSync } from 'node:fs';

/** Descriptors that are not for clients: listeners, logs, idle upstream connections, files, rejected clients. */
const FILES_RESERVED = 640;
/** Of those: what the process itself has open, threads and logs among it. */
const FILES_OWN = 64;
/** Of those: the pipes through which the native relay may move bytes (native/pipes.h). */
const FILES_OF_PIPES = 96;
/** Assumed where the system does not report how many files may be open. */
const FILES_DEFAULT = 65_536;
/** Beyond this the memory of idle connections runs out first. */
export const CONNECTIONS_MAX = 32_768;
/** Where the limit is below the reserve, half of it is for clients, up to this many connections. */
const CONNECTIONS_MIN = 64;

/** How many files this process may open; `undefined` where the system does not report it, which is everywhere but on Linux. */
export function filesMax(): number | undefined {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}

/** Client connections to accept at most: each tunnel takes two descriptors, and dialling must not run out of them. */
export function connectionsMax(files: number = filesMax() ?? FILES_DEFAULT): number {
  const fit = Math.floor((files - FILES_RESERVED) / 2);
  const least = Math.min(CONNECTIONS_MIN, Math.max(1, Math.floor(files / 4)));
  return Math.min(Math.max(fit, least), CONNECTIONS_MAX);
}

/** Descriptors for clients that are rejected and for idle upstream connections, when every client has its two. */
export function filesForRejected(files: number = filesMax() ?? FILES_DEFAULT): number {
  const left = files - 2 * connectionsMax(files);
  return Math.min(left, FILES_RESERVED) - FILES_OWN - FILES_OF_PIPES;
}
