import type { Clock } from '../../core/clock.ts';
import type { Credential } from '../../core/contracts.ts';
import type { Hop } from '../../core/stages.ts';
import { formatHop } from '../../protocol/proxy-url.ts';
import type { DigestSession } from './digest.ts';
import { Logons, type LogonTurns } from './logons.ts';
import { bindsConnection, type Way } from './ways.ts';

/** What is remembered about one proxy and one account there. */
export interface ParentMemory {
  /** Whether it has ever asked who we are; one that has may let some requests pass all the same. */
  asks: 'unknown' | 'no' | 'yes';
  /** By which it has let us in last. */
  way: Way | undefined;
  digest: DigestSession | undefined;
  /** Whether it wants a ticket with each request, and not once for a connection (RFC 4559 §4 has both). */
  wantsEachTicket: boolean;
  /** Until when no ticket is shown to it again, on the proxy's clock. */
  ticketRefusedUntilMs: number;
  /** By which it can be asked about us without anything happening; `HEAD` where it has no TRACE. */
  probe: 'TRACE' | 'HEAD';
}

/** Proxies times accounts: a PAC names a handful. Of more than this the one that was not used for longest is forgotten. */
const PARENTS_MAX = 256;
/** Proxies times secrets. Forgetting one means that a wrong password is sent once more, so there is ample room. */
const LOGONS_MAX = 4_096;

/** What was learned about upstream proxies. It outlives a reload, whose accounts have ids of their own. */
export class AuthMemory {
  readonly #parents = new Map<string, ParentMemory>();
  readonly #logons = new Map<string, LogonTurns>();
  readonly #makeLogons: (key: string) => LogonTurns;

  /** `makeLogons`: where it is not this process that says whose turn it is. */
  constructor(clock: Clock, makeLogons: (key: string) => LogonTurns = () => new Logons(clock)) {
    this.#makeLogons = makeLogons;
  }

  /** `account`: what tells it from others (`Credential.id`). */
  of(hop: Hop, account: string): ParentMemory {
    return recall(this.#parents, `${formatHop(hop)} ${account}`, PARENTS_MAX, () => ({
      asks: 'unknown',
      way: undefined,
      digest: undefined,
      wantsEachTicket: false,
      ticketRefusedUntilMs: Number.NEGATIVE_INFINITY,
      probe: 'TRACE',
    }));
  }

  logons(hop: Hop, { id }: Credential): LogonTurns {
    const key = `${formatHop(hop)} ${id}`;
    return recall(this.#logons, key, LOGONS_MAX, () => this.#makeLogons(key));
  }
}

/** Whether this proxy logs on the connection, so that the next request over it need say nothing. */
export const logsOnConnections = (way: Way, { wantsEachTicket }: ParentMemory): boolean =>
  bindsConnection(way) && !(way === 'kerberos' && wantsEachTicket);

/** The entry of `key`, as the youngest of all. */
function recall<T>(entries: Map<string, T>, key: string, sizeMax: number, make: () => T): T {
  const entry = entries.get(key) ?? make();
  entries.delete(key);
  entries.set(key, entry);
  const [oldest] = entries.keys();
  if (entries.size > sizeMax && oldest !== undefined) entries.delete(oldest);
  return entry;
}
