import type { Headers } from '../../contracts/request.ts';
import type { Sink } from '../../contracts/wire.ts';
import { type Challenge, parseChallenges } from '../../protocol/http-auth/challenge.ts';
import { valuesOf } from '../../protocol/http1/header-list.ts';
import type { AuthMessage, AuthScheme, ChallengeResult, Unavailable } from '../auth-scheme.ts';
import type { GssContext, KerberosProvider } from '../gssapi/gssapi.ts';
import { tokenOf } from './ntlm.ts';
import { serverEndPoint } from './server-end-point.ts';

/** Kerberos in Negotiate (RFC 4559): one token is enough as a rule, and no token is good twice. */
export class KerberosScheme implements AuthScheme {
  readonly mechanism = 'kerberos';
  readonly #kerberos: KerberosProvider;
  readonly #host: string;
  #context: GssContext | undefined;
  #received: Buffer | undefined;
  #isDone = false;
  #hasSentToken = false;

  constructor(tickets: KerberosProvider, host: string) {
    this.#kerberos = tickets;
    this.#host = host;
  }

  get sentCredentials(): boolean {
    return this.#hasSentToken;
  }

  get isFinalLeg(): boolean {
    return true;
  }

  async next(_message: AuthMessage, over: Sink): Promise<string | Unavailable> {
    if (this.#context === undefined || this.#received === undefined) {
      // Another connection, or another request to a proxy that wants a ticket each time: a context of its own.
      this[Symbol.dispose]();
      const created = await this.#kerberos.createContext(`HTTP@${this.#host}`, serverEndPoint(over));
      if ('unavailable' in created) return { unavailable: created.unavailable };
      this.#context = created;
    }
    const step = await this.#context.step(this.#received);
    this.#received = undefined;
    if ('unavailable' in step) return { unavailable: step.unavailable };
    if (step.token === undefined) return { unavailable: 'Kerberos has no further token' };
    this.#isDone = step.done;
    this.#hasSentToken = true;
    return `Negotiate ${step.token.toString('base64')}`;
  }

  onChallenge(challenges: readonly Challenge[]): ChallengeResult {
    const token = tokenOf(challenges, 'negotiate');
    if (token === undefined || this.#isDone) return 'rejected';
    this.#received = token;
    return 'go-on';
  }

  /** A proxy that shows a token proves with it that it has the key of the service; many show none. */
  async accepted(headers: Headers): Promise<Unavailable | undefined> {
    const values = ['proxy-authentication-info', 'proxy-authenticate'].flatMap((name) => valuesOf(headers, name));
    const token = tokenOf(parseChallenges(values), 'negotiate');
    if (token === undefined || this.#context === undefined || this.#isDone) return undefined;
    const step = await this.#context.step(token);
    return 'unavailable' in step ? { unavailable: step.unavailable } : undefined;
  }

  [Symbol.dispose](): void {
    this.#context?.[Symbol.dispose]();
    this.#context = undefined;
    this.#isDone = false;
  }
}
