import type { Observe } from '../contracts/event.ts';
import { isOnBridge } from './bridges.ts';
import { type BoundAddress, ListenError, openProbe } from './listening.ts';
import { addressText, type Listen, type SocketListen } from './options.ts';

/**
 * Finds out which of `fresh` could be listened on, and on which ports, without keeping them. What is not in the result
 * is the half of `localhost` that this machine lacks. Rejects with a ListenError.
 */
export async function probeListeners(
  fresh: readonly SocketListen[],
  wanted: readonly SocketListen[],
  observe: Observe,
): Promise<ReadonlyMap<SocketListen, SocketListen>> {
  const found = new Map<SocketListen, SocketListen>();
  const probes = await openAll(
    fresh,
    wanted,
    async (listen, requested) => {
      const probe = await openProbe(listen);
      found.set(requested, probe.listen);
      return probe;
    },
    observe,
  );
  for (const probe of probes) probe.abandon();
  return found;
}

/** Opens all of `missing`, or none and rejects. */
export async function openAll<L extends BoundAddress>(
  missing: readonly SocketListen[],
  wanted: readonly SocketListen[],
  open: (listen: SocketListen, requested: SocketListen) => Promise<L>,
  observe: Observe,
): Promise<L[]> {
  const opened: L[] = [];
  for (const listen of missing) {
    try {
      opened.push(await open(withSharedPort(listen, opened), listen));
    } catch (error) {
      if (error instanceof ListenError && mayBeMissing(listen, error, wanted, opened)) {
        const next = isOnBridge(listen) ? '; it is tried again every 2 s' : '';
        observe({
          type: 'notice',
          level: 'info',
          message: `${addressText(listen)} is not there: ${error.code}${next}`,
        });
        continue;
      }
      for (const listener of opened) listener.abandon();
      throw error;
    }
  }
  return opened;
}

/** Opens as many of `missing` as it can. */
export async function openSome<L extends BoundAddress>(
  missing: readonly SocketListen[],
  open: (listen: SocketListen) => Promise<L>,
): Promise<{ readonly opened: readonly L[]; readonly failures: readonly unknown[] }> {
  const opened: L[] = [];
  const failures: unknown[] = [];
  for (const listen of missing) {
    try {
      opened.push(await open(listen));
    } catch (error) {
      failures.push(error);
    }
  }
  return { opened, failures };
}

/** A machine may lack one family of `localhost`, or the address of a bridge; a port that is taken is another matter. */
function mayBeMissing(
  listen: SocketListen,
  error: ListenError,
  wanted: readonly SocketListen[],
  opened: readonly BoundAddress[],
): boolean {
  if (listen.kind !== 'tcp' || !listen.optional || error.code === 'EADDRINUSE' || error.code === 'EACCES') return false;
  if (isOnBridge(listen)) return true;
  return wanted.findLast(isHalf) !== listen || opened.some(({ requested }) => isHalf(requested));
}

/** One half of `localhost`. */
const isHalf = (listen: SocketListen): boolean => listen.kind === 'tcp' && listen.optional && !isOnBridge(listen);

/** Both halves of `localhost` take the same port when it is a free one that is asked for. */
function withSharedPort(listen: SocketListen, opened: readonly BoundAddress[]): SocketListen {
  if (listen.kind !== 'tcp' || !isHalf(listen) || listen.port !== 0) return listen;
  const hasTaken = (host: string, port: number): boolean =>
    opened.some(({ listen: one }) => one.kind === 'tcp' && one.host === host && one.port === port);
  for (const { requested, listen: other } of opened) {
    const isOther = requested.kind === 'tcp' && isHalf(requested) && requested.port === 0;
    if (isOther && other.kind === 'tcp' && !hasTaken(listen.host, other.port)) return { ...listen, port: other.port };
  }
  return listen;
}

/** Throws a ListenError where nothing but bridges is asked for, and there is none. */
export function requireSome(asked: readonly Listen[], found: readonly SocketListen[]): void {
  const [first] = asked;
  if (found.length > 0 || first === undefined) return;
  throw new ListenError(first, Object.assign(new Error('no such bridge'), { code: 'ENODEV' }));
}
