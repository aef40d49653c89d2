import { systemClock } from '../../core/clock.ts';
import { pacAddress, shownAddress } from '../../pac/address.ts';
import { readPlace } from '../../pac/content.ts';
import type { PacScript } from '../../pac/script.ts';
import { cachingResolver } from '../../upstream/resolver.ts';
import { UsageError } from '../print.ts';

/** A person waits for it; the proxy itself waits for 3 s. */
const READ_MS = 10_000;

/** Reads a script as the proxy would. Rejects with an Error for people. */
export async function readScript(text: string): Promise<PacScript> {
  const address = text === '-' ? undefined : pacAddress(text);
  if (address === undefined)
    throw new UsageError(`${JSON.stringify(text)} is no file, and no http:, https:, file: or data: URL`);
  const shown = shownAddress(address);
  const { resolve } = cachingResolver(systemClock);
  const place = { address, key: shown, shown, namedBy: 'pac', foundBy: undefined, resolve } as const;
  const stopping = new AbortController();
  using _limit = systemClock.after(READ_MS, () =>
    stopping.abort(new Error(`no answer within ${READ_MS / 1000} seconds`)),
  );
  try {
    const scope = {
      signal: stopping.signal,
      isSelf: () => false,
      inspect: () => Promise.resolve(undefined),
    };
    const { text: script, namedBy } = await readPlace(place, undefined, scope);
    return { text: script, source: shown, namedBy, readMs: systemClock.now() };
  } catch (error) {
    throw new Error(`${shown}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
