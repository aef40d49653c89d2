import type { Sink } from '../../contracts/wire.ts';
import type { Challenge } from '../../protocol/http-auth/challenge.ts';
import { type AuthMechanism, SCHEME_OF, SCHEME_TOKEN } from '../auth-mechanism.ts';
import type { AuthMessage, AuthScheme, ChallengeResult, Unavailable } from '../auth-scheme.ts';
import type { SspiContext, SspiProvider } from '../sspi/sspi.ts';
import type { SspiAccount } from '../sspi/sspi-library.ts';
import { tokenOf } from './ntlm.ts';
import { serverEndPoint } from './server-end-point.ts';

/** Type 1 of NTLM, bare or in SPNEGO: it begins a login, and proves nothing. */
const NTLM_OFFER = Buffer.from('NTLMSSP\0\x01');

/** A login of as many rounds as Windows wants: one by Kerberos as a rule, two by NTLM. */
export class SspiScheme implements AuthScheme {
  readonly mechanism: Extract<AuthMechanism, 'sspi-negotiate' | 'sspi-ntlm'>;
  readonly #provider: SspiProvider;
  readonly #account: SspiAccount | undefined;
  readonly #host: string;
  #context: SspiContext | undefined;
  #received: Buffer | undefined;
  #last: 'none' | 'offer' | 'proof' = 'none';

  constructor(
    mechanism: SspiScheme['mechanism'],
    provider: SspiProvider,
    account: SspiAccount | undefined,
    host: string,
  ) {
    this.mechanism = mechanism;
    this.#provider = provider;
    this.#account = account;
    this.#host = host;
  }

  get sentCredentials(): boolean {
    return this.#last === 'proof';
  }

  get isFinalLeg(): boolean {
    return this.#received !== undefined;
  }

  async next(_message: AuthMessage, over: Sink): Promise<string | Unavailable> {
    if (this.#context === undefined || this.#received === undefined) {
      // Another connection: a context of its own.
      this[Symbol.dispose]();
      const name = this.mechanism === 'sspi-ntlm' ? 'NTLM' : 'Negotiate';
      const created = await this.#provider.createContext(name, this.#account);
      if ('unavailable' in created) return { unavailable: created.unavailable };
      this.#context = created;
    }
    const step = await this.#context.step(this.#host, this.#received, serverEndPoint(over));
    this.#received = undefined;
    if ('unavailable' in step) return { unavailable: step.unavailable };
    this.#last = step.token.includes(NTLM_OFFER) ? 'offer' : 'proof';
    return `${SCHEME_TOKEN[SCHEME_OF[this.mechanism]]} ${step.token.toString('base64')}`;
  }

  onChallenge(challenges: readonly Challenge[]): ChallengeResult {
    const token = tokenOf(challenges, SCHEME_OF[this.mechanism]);
    if (token === undefined) {
      return this.#last === 'proof'
        ? 'rejected'
        : { unavailable: 'the proxy does not go on with the login of Windows' };
    }
    this.#received = token;
    return 'go-on';
  }

  accepted(): undefined {}

  [Symbol.dispose](): void {
    this.#context?.[Symbol.dispose]();
    this.#context = undefined;
    this.#last = 'none';
  }
}
