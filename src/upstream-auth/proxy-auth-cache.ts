import type { Hop } from '../contracts/stages.ts';
import type { Credential } from '../contracts/upstream-account.ts';
import { formatAuthority, hostKey } from '../protocol/addresses/authority.ts';
import type { Clock } from '../util/clock.ts';
import { LruMap } from '../util/lru-map.ts';
import { type AuthMechanism, bindsConnection } from './auth-mechanism.ts';
import type { Latches } from './latch-file.ts';
import type { LoginKey, LoginLimiter } from './login-attempt.ts';
import { LoginLimiterRegistry } from './login-limiter-registry.ts';
import type { DigestSession } from './schemes/digest.ts';

/** In the order in which they are tried. */
export const QUESTION_METHODS = ['TRACE', 'HEAD', 'CONNECT'] as const;
export type QuestionMethod = (typeof QUESTION_METHODS)[number];

/** What is remembered of one proxy and one account there. */
export interface ProxyAuthEntry {
  /** Whether it has ever responded with 407; a proxy that has may let some requests pass all the same. */
  requiresAuth: 'unknown' | 'no' | 'yes';
  /** The one by which it has let us in last. */
  mechanism: AuthMechanism | undefined;
  digest: DigestSession | undefined;
  /** Whether it wants a ticket with each request, instead of once for a connection (RFC 4559 §4 has both). */
  perRequestKerberos: boolean;
  /** Until when no ticket is shown to it again, on the proxy's clock. */
  ticketRefusedUntilMs: number;
  /** The question that the proxy responds to with 407 while we are not authenticated; `none`: there is none. */
  questionMethod: QuestionMethod | 'TRACE of the target' | 'untried' | 'none';
  /** It has accepted a right secret in a question: from then on its other responses to questions mean something. */
  questionWorks: boolean;
  /**
   * Basic that it has not asked for. `unanswered`: it got no clear response, and only the next 407 shows whether this
   * proxy takes Basic at all, so that the password may have been the reason. `off`: it is known what the proxy wants.
   */
  preemptiveBasic: 'allowed' | 'unanswered' | 'off';
}

/** Proxies times accounts: a PAC names a handful. Of more than this the one that was not used for longest is forgotten. */
const ENTRIES_MAX = 256;
/** Proxies times secrets that are kept at hand; what is known of them is in `LoginLimiterRegistry`, or in the primary. */
const LIMITERS_MAX = 4_096;

/** What was learned about upstream proxies. It outlives a reload, whose accounts have ids of their own. */
export class ProxyAuthCache {
  readonly #entries = new LruMap<string, ProxyAuthEntry>(ENTRIES_MAX);
  readonly #limiters = new LruMap<string, LoginLimiter>(LIMITERS_MAX);
  readonly #limiterFor: (key: LoginKey) => LoginLimiter;
  readonly #registry: LoginLimiterRegistry;

  /** `limiterFor`: where another process limits the logins. `latches`: where they outlive this one. */
  constructor(
    clock: Clock,
    {
      limiterFor,
      latches,
    }: { limiterFor?: ((key: LoginKey) => LoginLimiter) | undefined; latches?: Latches | undefined } = {},
  ) {
    this.#registry = new LoginLimiterRegistry(clock, latches);
    this.#limiterFor = limiterFor ?? ((key) => this.#registry.limiterFor(key));
  }

  /** The user says that rejected secrets may be tried again. */
  retryLogins(): void {
    this.#registry.lift();
    this.#limiters.clear();
  }

  /** `account`: what distinguishes it (`ProxyAuthContext.id`). */
  entryFor(hop: Hop, account: string): ProxyAuthEntry {
    return this.#entries.getOrCreate(`${hop.scheme} ${proxyKey(hop)} ${account}`, () => ({
      requiresAuth: 'unknown',
      mechanism: undefined,
      digest: undefined,
      perRequestKerberos: false,
      ticketRefusedUntilMs: Number.NEGATIVE_INFINITY,
      questionMethod: 'untried',
      questionWorks: false,
      preemptiveBasic: 'allowed',
    }));
  }

  limiterFor(hop: Hop, { id }: Credential): LoginLimiter {
    const proxy = proxyKey(hop);
    return this.#limiters.getOrCreate(`${proxy} ${id}`, () => this.#limiterFor({ proxy, secret: id }));
  }
}

/** A proxy in its one spelling: `PROXY`, `proxy.` and a mapped address must not each cost a wrong password. */
const proxyKey = ({ proxy }: Hop): string => formatAuthority({ host: hostKey(proxy.host), port: proxy.port });

/** Whether this proxy authenticates the connection, so that the next request over it carries no credentials. */
export const logsOnConnections = (mechanism: AuthMechanism, { perRequestKerberos }: ProxyAuthEntry): boolean =>
  bindsConnection(mechanism) && !(mechanism === 'kerberos' && perRequestKerberos);
