import { accountLabel } from '../contracts/account.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { Hop } from '../contracts/stages.ts';
import type {
  Credential,
  CredentialStore,
  UpstreamAccount,
  UpstreamAccountSummary,
  UpstreamAccounts,
} from '../contracts/upstream-account.ts';
import type { Clock } from '../util/clock.ts';
import { type AuthScope, AuthSession } from './auth-session.ts';
import type { KerberosProvider } from './gssapi/gssapi.ts';
import { logsOnConnections, type ProxyAuthCache, type ProxyAuthEntry } from './proxy-auth-cache.ts';
import type { AuthSessionDeps } from './scheme-choice.ts';
import type { SspiProvider } from './sspi/sspi.ts';
import { unlimitedLogins } from './unlimited-logins.ts';

export interface UpstreamAuthOptions {
  readonly credentials: CredentialStore;
  readonly cache: ProxyAuthCache;
  /** `undefined`: no Kerberos here. */
  readonly kerberos: KerberosProvider | undefined;
  /** Absent where this is no Windows. */
  readonly sspi?: SspiProvider | undefined;
  /** Name of this machine for NTLM; may be empty. */
  readonly workstation: string;
  readonly clock: Clock;
}

/** Our accounts at upstream proxies, and the sessions that authenticate requests there. */
export class UpstreamAuth implements UpstreamAccounts {
  readonly #options: UpstreamAuthOptions;

  constructor(options: UpstreamAuthOptions) {
    this.#options = options;
  }

  /** As which account one request comes to one proxy. */
  async contextFor(hop: Hop): Promise<ProxyAuthContext> {
    const { credentials, cache, kerberos, sspi, workstation, clock } = this.#options;
    const account = await accountAt(credentials, hop);
    const id = idOf(account);
    const limiterFor: AuthSessionDeps['limiterFor'] = (credential) =>
      isTriedAgain(account) ? unlimitedLogins : cache.limiterFor(hop, credential);
    return new ProxyAuthContext(id, {
      hop,
      account,
      known: cache.entryFor(hop, id),
      limiterFor,
      kerberos,
      sspi,
      workstation,
      clock,
    });
  }

  async summaryAt(hop: Hop): Promise<UpstreamAccountSummary> {
    const { credentials, cache, kerberos } = this.#options;
    const account = await accountAt(credentials, hop);
    if (account instanceof ProxyError) return { at: 'failed', why: account.clientDetail ?? account.detail };
    if (account.at === 'withheld') return account;
    const { credential, missing, basic, schemes } = account;
    return {
      at: 'known',
      user: credential && nameOf(credential).user,
      source: credential?.source,
      missing,
      schemes,
      basic: basic && nameOf(basic),
      isRejected: !isTriedAgain(account) && credential !== undefined && cache.limiterFor(hop, credential).isRejected,
      ticketsUntil: schemes.includes('negotiate') ? await kerberos?.ticketExpiry() : undefined,
    };
  }
}

const isTriedAgain = (account: UpstreamAccount | ProxyError): boolean =>
  !(account instanceof ProxyError) && account.at === 'known' && account.afterRejection === 'tried-again';

const nameOf = (credential: Credential): { readonly user: string; readonly source: string } => ({
  user: accountLabel(credential),
  source: credential.source,
});

/** Our account at one proxy, and what is known of the proxy. */
export class ProxyAuthContext {
  /** Differs between accounts, and contains nothing of them: connections are pooled by it. */
  readonly id: string;
  readonly #deps: AuthSessionDeps;

  constructor(id: string, deps: AuthSessionDeps) {
    this.id = id;
    this.#deps = deps;
  }

  /** Whether the proxy authenticates connections: then a request looks for one that is authenticated. */
  get wantsAuthenticated(): boolean {
    const { known } = this.#deps;
    return known.mechanism !== undefined && logsOnConnections(known.mechanism, known);
  }

  /** What is remembered of the questions that this proxy answers itself. */
  get known(): Pick<ProxyAuthEntry, 'questionMethod' | 'requiresAuth'> {
    return this.#deps.known;
  }

  createSession(within: AuthScope, connection: 'anonymous' | 'authenticated'): AuthSession {
    return new AuthSession(this.#deps, within, connection);
  }
}

async function accountAt(credentials: CredentialStore, hop: Hop): Promise<UpstreamAccount | ProxyError> {
  try {
    return await credentials.accountAt(hop);
  } catch (error) {
    if (error instanceof ProxyError) return error;
    throw error;
  }
}

function idOf(account: UpstreamAccount | ProxyError): string {
  if (account instanceof ProxyError || account.at === 'withheld') return '-';
  return [account.credential?.id, account.basic?.id, account.schemes.join()].map((part) => part ?? '-').join(' ');
}
