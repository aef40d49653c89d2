import { isIPv6 } from 'node:net';
import type { Connection } from '../../contracts/stages.ts';
import type { Clock } from '../../util/clock.ts';
import type { StopSignal } from '../../util/stop.ts';

/** Connection Attempt Delay of RFC 8305 §5. */
export const ATTEMPT_DELAY_MS = 250;

export interface Race {
  readonly addresses: readonly string[];
  readonly signal: StopSignal;
  readonly clock: Clock;
  open(address: string, attempt: number, signal: StopSignal): Promise<Connection>;
}

/** Families in turns, beginning with the one that the resolver put first (RFC 8305 §4). */
export function interleave(addresses: readonly string[]): readonly string[] {
  const first = isIPv6(addresses[0] ?? '');
  const leading = addresses.filter((address) => isIPv6(address) === first);
  const other = addresses.filter((address) => isIPv6(address) !== first);
  if (other.length === 0) return addresses;
  const mixed: string[] = [];
  for (let i = 0; i < Math.max(leading.length, other.length); i++) {
    mixed.push(...leading.slice(i, i + 1), ...other.slice(i, i + 1));
  }
  return mixed;
}

/**
 * Tries the addresses in order, each a little after the one before, or at once when that one has failed. Attempts that
 * have begun keep running until one connects (RFC 8305 §5), so that a slow network costs no failure. Rejects with the first
 * failure, which is that of the address that the resolver put first.
 */
export function race({ addresses, signal, clock, open }: Race): Promise<Connection> {
  const [only] = addresses;
  if (addresses.length === 1 && only !== undefined) return open(only, 1, signal);
  return new Promise((resolve, reject) => {
    const losers = new AbortController();
    let next = 0;
    let running = 0;
    let firstFailure: unknown;
    let timer: Disposable | undefined;

    const finish = (settle: () => void) => {
      timer?.[Symbol.dispose]();
      signal.removeEventListener('abort', onAbort);
      next = addresses.length;
      settle();
      losers.abort();
    };
    const onAbort = () => {
      losers.abort(signal.reason);
      finish(() => reject(signal.reason));
    };
    const tryNext = () => {
      timer?.[Symbol.dispose]();
      const address = addresses[next];
      if (address === undefined) {
        if (running === 0) finish(() => reject(firstFailure));
        return;
      }
      next += 1;
      running += 1;
      timer = clock.after(ATTEMPT_DELAY_MS, tryNext);
      open(address, next, losers.signal).then(won, failed);
    };
    const won = (connection: Connection) => {
      // Two may connect in the same tick: the second is closed, no byte was sent on it.
      if (losers.signal.aborted) connection[Symbol.dispose]();
      else finish(() => resolve(connection));
    };
    const failed = (cause: unknown) => {
      running -= 1;
      if (losers.signal.aborted) return;
      firstFailure ??= cause;
      tryNext();
    };

    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener('abort', onAbort);
    tryNext();
  });
}
