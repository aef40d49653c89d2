import { EPOLL_SOURCES, RELAY_SOURCES } from '../../scripts/native.ts';

const here = (path: string): string => new URL(path, import.meta.url).pathname;

/** A part of the addon, and a program that drives it without Node. */
export interface NativeProgram {
  readonly of: string;
  readonly sources: readonly string[];
  /** How much each watcher sees of it; slower ones see less. */
  readonly work: Readonly<Partial<Record<WatcherName, number>>>;
}
export type WatcherName = 'sanitizers' | 'threads' | 'valgrind';

export const PROGRAMS: readonly NativeProgram[] = [
  {
    of: 'the native relay',
    sources: [...RELAY_SOURCES, here('relay-harness.cc')],
    work: { sanitizers: 200, threads: 100, valgrind: 30 },
  },
  // They have one thread.
  {
    of: 'the epoll sockets',
    sources: [...EPOLL_SOURCES, ...RELAY_SOURCES, here('epoll-sockets-harness.cc')],
    work: { sanitizers: 500, valgrind: 50 },
  },
  {
    of: 'the questions whose a socket is, and which addresses there are',
    sources: [here('kernel-questions-harness.cc')],
    work: { sanitizers: 100, valgrind: 10 },
  },
];
