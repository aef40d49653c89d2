import { ProxyError } from '../contracts/failure.ts';
import type { Hop } from '../contracts/stages.ts';
import type { Credential, UpstreamAccount } from '../contracts/upstream-account.ts';
import type { Challenge } from '../protocol/http-auth/challenge.ts';
import type { Clock } from '../util/clock.ts';
import type { StopSignal } from '../util/stop.ts';
import { authFailure, failureByDenial, type MechanismFailure, rejectedMessage } from './auth-errors.ts';
import {
  type AuthMechanism,
  credentialFor,
  isSspi,
  type KnownAccount,
  mechanismsOf,
  SCHEME_OF,
  type SystemLogin,
} from './auth-mechanism.ts';
import type { AuthScheme, Unavailable } from './auth-scheme.ts';
import type { KerberosProvider } from './gssapi/gssapi.ts';
import type { LoginLimiter, QuestionSupport } from './login-attempt.ts';
import { Proof } from './proof.ts';
import type { ProxyAuthEntry } from './proxy-auth-cache.ts';
import { BasicScheme } from './schemes/basic.ts';
import { DigestScheme } from './schemes/digest.ts';
import { KerberosScheme } from './schemes/kerberos.ts';
import { NtlmScheme } from './schemes/ntlm.ts';
import { SspiScheme } from './schemes/sspi.ts';
import type { SspiProvider } from './sspi/sspi.ts';

/** A ticket that was refused is shown again after this long: the proxy's clock or key may have been corrected. */
const TICKET_REFUSED_MS = 30_000;

/** Whether nothing that we store is proved: a ticket, or who is logged in to Windows. */
const isTicket = (mechanism: AuthMechanism, credential: Credential | undefined): boolean =>
  mechanism === 'kerberos' || (isSspi(mechanism) && credential === undefined);

/** What is known of one proxy and of our account there. */
export interface AuthSessionDeps {
  readonly hop: Hop;
  /** The failure: the secret cannot be used, for example since others can read its file. It matters only if the proxy asks. */
  readonly account: UpstreamAccount | ProxyError;
  readonly known: ProxyAuthEntry;
  readonly limiterFor: (credential: Credential) => LoginLimiter;
  readonly kerberos: KerberosProvider | undefined;
  /** `undefined`: this is no Windows. */
  readonly sspi: SspiProvider | undefined;
  readonly workstation: string;
  readonly clock: Clock;
}

/** The mechanisms that our account has at one proxy, in one request, and why each that was tried is out. */
export class SchemeChoice {
  readonly #deps: AuthSessionDeps;
  readonly #failures = new Map<AuthMechanism, MechanismFailure>();

  constructor(deps: AuthSessionDeps) {
    this.#deps = deps;
  }

  /** `undefined`: nothing may be sent to this proxy. */
  get account(): KnownAccount | undefined {
    const { account } = this.#deps;
    return !(account instanceof ProxyError) && account.at === 'known' ? account : undefined;
  }

  get systemLogin(): SystemLogin {
    return this.#deps.sspi === undefined ? 'none' : 'sspi';
  }

  /** Whether the proxy itself answers questions about us, as far as is known. */
  get questionSupport(): QuestionSupport {
    return this.#deps.known.questionMethod === 'none' ? 'cannot-ask' : 'can-ask';
  }

  /** The credential that a mechanism proves; none for a Kerberos ticket. */
  credentialFor(mechanism: AuthMechanism): Credential | undefined {
    const { account } = this;
    return account && credentialFor(mechanism, account);
  }

  async hasCredentials(): Promise<boolean> {
    const { account } = this;
    if (account === undefined) return false;
    const { credential, basic, schemes } = account;
    if (credential !== undefined || basic !== undefined) return true;
    if (mechanismsOf(account, this.systemLogin).some(isSspi)) return true;
    return schemes.includes('negotiate') && (await this.#deps.kerberos?.ticketExpiry()) !== undefined;
  }

  /** The schemes that the proxy offers and that are not out, strongest first; each is opened when its turn comes. */
  *offered(challenges: readonly Challenge[]): Generator<AuthScheme> {
    const { account } = this;
    if (account === undefined) return;
    for (const mechanism of mechanismsOf(account, this.systemLogin)) {
      if (this.#failures.has(mechanism) || !challenges.some(({ scheme }) => scheme === SCHEME_OF[mechanism])) continue;
      const scheme = this.open(mechanism, challenges);
      if ('unavailable' in scheme) this.#failures.set(mechanism, scheme);
      else yield scheme;
    }
  }

  /** Without challenges: with what is remembered of earlier ones. */
  open(mechanism: AuthMechanism, challenges: readonly Challenge[] | undefined): AuthScheme | Unavailable {
    const { hop, known, kerberos, sspi, workstation, clock } = this.#deps;
    if (isSspi(mechanism)) {
      if (sspi === undefined) return { unavailable: 'this is no Windows' };
      const account = this.credentialFor(mechanism);
      if (account === undefined) {
        if (clock.now() < known.ticketRefusedUntilMs) return { unavailable: 'the login was refused a moment ago' };
        return new SspiScheme(mechanism, sspi, undefined, hop.proxy.host);
      }
      if (account.secret.kind !== 'password') return { unavailable: 'Windows needs the password, not a hash' };
      const { user, domain } = account;
      return new SspiScheme(mechanism, sspi, { user, domain, password: account.secret.password }, hop.proxy.host);
    }
    if (mechanism === 'kerberos') {
      if (kerberos === undefined) return { unavailable: 'this system has no Kerberos' };
      if (clock.now() < known.ticketRefusedUntilMs) return { unavailable: 'the ticket was refused a moment ago' };
      return new KerberosScheme(kerberos, hop.proxy.host);
    }
    const credential = this.credentialFor(mechanism);
    if (credential === undefined) return { unavailable: 'no account' };
    if (mechanism === 'basic') return BasicScheme.with(credential);
    if (mechanism === 'digest') return DigestScheme.with(credential, known, challenges);
    return new NtlmScheme({ mechanism, credential, host: hop.proxy.host, workstation, clock });
  }

  /** Waits for the permission to send a proof. `undefined`: there is none, and the mechanism is out. */
  async acquire(mechanism: AuthMechanism, signal: StopSignal): Promise<Proof | undefined> {
    const { clock, limiterFor } = this.#deps;
    const credential = this.credentialFor(mechanism);
    if (credential === undefined) return new Proof(clock, undefined);
    const attempt = await limiterFor(credential).acquire(signal, this.questionSupport);
    if (!('denied' in attempt)) return new Proof(clock, attempt);
    this.#failures.set(mechanism, failureByDenial(attempt, credential));
    return undefined;
  }

  ruleOut({ mechanism, sentCredentials }: AuthScheme, why: MechanismFailure): void {
    const { known, clock } = this.#deps;
    if (isTicket(mechanism, this.credentialFor(mechanism)) && sentCredentials)
      known.ticketRefusedUntilMs = clock.now() + TICKET_REFUSED_MS;
    this.#failures.set(mechanism, why);
    this.#forget(mechanism);
  }

  /**
   * The proxy has read our proof and does not accept it: a wrong secret, which would be as wrong by another mechanism.
   * Returns what the log should say: nothing where another request has had the same rejection.
   */
  reject(scheme: AuthScheme, proof: Proof): string | undefined {
    const { mechanism } = scheme;
    const credential = this.credentialFor(mechanism);
    if (credential === undefined) {
      this.ruleOut(scheme, { unavailable: 'the ticket was refused' });
      return undefined;
    }
    const { hop, limiterFor } = this.#deps;
    const limiter = limiterFor(credential);
    const isLatched = this.account?.afterRejection !== 'tried-again';
    const isNews = isLatched && !limiter.isRejected;
    proof.rejected();
    const { retryMs } = limiter;
    this.#failures.set(mechanism, isLatched ? { rejected: credential, retryMs } : { rejectedNow: credential });
    this.#forget(mechanism);
    return isNews ? rejectedMessage(hop, credential, retryMs) : undefined;
  }

  /** Why the proxy does not let us in. */
  failure(challenges: readonly Challenge[]): ProxyError {
    const { hop, account } = this.#deps;
    if (account instanceof ProxyError) return account;
    if (account.at === 'withheld')
      return new ProxyError('upstream_auth_failed', account.clientDetail, { clientDetail: `${account.clientDetail}.` });
    const { credential = account.basic, missing } = account;
    return authFailure(hop, challenges, this.#failures, { credential, missing });
  }

  #forget(mechanism: AuthMechanism): void {
    const { known } = this.#deps;
    if (known.mechanism === mechanism) known.mechanism = undefined;
  }
}
