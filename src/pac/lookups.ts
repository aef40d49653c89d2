import type { Resolver } from '../core/contracts.ts';
import { unlessAborted } from '../core/deadline.ts';

/** Threads of a process that asks for no other number. */
const THREADS_DEFAULT = 4;

/**
 * How many names scripts may look up at the same time. libuv lets half of its threads resolve names, and a lookup that
 * hangs cannot be cancelled: half of those are left to the targets of requests.
 */
export const lookupsMax = (threads: string | undefined): number =>
  Math.max(1, Math.floor((Number(threads) || THREADS_DEFAULT) / 4));

/** Looks up for scripts, `max` names at a time; others wait for their turn for as long as they are wanted. */
export function boundedLookups(
  resolver: Resolver,
  max: number,
): (host: string, signal: AbortSignal) => Promise<readonly string[]> {
  /** Names that are being looked up, and for how many: whoever asks for one of them takes no further thread. */
  const busy = new Map<string, number>();
  let ended = Promise.withResolvers<void>();

  const done = (host: string): void => {
    const left = (busy.get(host) ?? 1) - 1;
    if (left > 0) return void busy.set(host, left);
    busy.delete(host);
    ended.resolve();
    ended = Promise.withResolvers();
  };

  return async (host, signal) => {
    for (;;) {
      const known = resolver.known(host);
      if (known !== undefined) return known;
      if (busy.has(host) || busy.size < max) break;
      await unlessAborted(ended.promise, signal);
    }
    busy.set(host, (busy.get(host) ?? 0) + 1);
    // To its end, also when nobody waits any more: until then it has its thread.
    const looking = resolver.resolve(host, new AbortController().signal).finally(() => done(host));
    return await unlessAborted(looking, signal);
  };
}
