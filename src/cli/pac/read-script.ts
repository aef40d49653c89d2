import { pacAddress, shownAddress } from '../../pac/fetch/address.ts';
import { readLocation } from '../../pac/fetch/content.ts';
import { failureText } from '../../pac/fetch/failure.ts';
import type { PacScript } from '../../pac/script.ts';
import { cachingResolver } from '../../upstream/dial/resolver.ts';
import { tlsToProxies } from '../../upstream/tls/tls-to-proxies.ts';
import { tlsSettings } from '../../upstream/tls/trust.ts';
import { systemClock } from '../../util/clock.ts';
import { quoted } from '../../util/redact.ts';
import { UsageError } from '../print.ts';

/** Longer than the 3 s of the proxy itself: here the person who waits can stop it. */
const READ_MS = 10_000;

/** Reads a script as the proxy would. Rejects with an Error that can be shown to the user. */
export async function readScript(text: string): Promise<PacScript> {
  const address = text === '-' ? undefined : pacAddress(text);
  if (address === undefined)
    throw new UsageError(`${quoted(text)} is neither a file nor an http:, https:, file: or data: URL`);
  const shown = shownAddress(address);
  const { resolve } = cachingResolver(systemClock);
  const place = { address, key: shown, shown, namedBy: 'pac', foundBy: undefined, resolve } as const;
  const stopping = new AbortController();
  using _limit = systemClock.after(READ_MS, () =>
    stopping.abort(new Error(`no response within ${READ_MS / 1000} seconds`)),
  );
  try {
    const scope = {
      signal: stopping.signal,
      isSelf: () => false,
      secure: tlsToProxies({ settingsOf: tlsSettings([]), connectMs: READ_MS, clock: systemClock }),
      inspect: () => Promise.resolve(undefined),
    };
    const { text: script, namedBy } = await readLocation(place, undefined, scope);
    return { text: script, source: shown, namedBy, readMs: systemClock.now() };
  } catch (error) {
    throw new Error(`${shown}: ${failureText(error)}`, { cause: error });
  }
}
