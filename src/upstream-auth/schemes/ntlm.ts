import { randomBytes } from 'node:crypto';
import { ProxyError } from '../../contracts/failure.ts';
import type { Credential } from '../../contracts/upstream-account.ts';
import type { Sink } from '../../contracts/wire.ts';
import type { Challenge } from '../../protocol/http-auth/challenge.ts';
import { createNtlmAuthenticate } from '../../protocol/ntlm/ntlm-authenticate.ts';
import { HTTP_FLAGS, SPNEGO_FLAGS } from '../../protocol/ntlm/ntlm-flags.ts';
import type { NtlmIdentity, NtlmKey } from '../../protocol/ntlm/ntlm-hash.ts';
import { encodeNegotiate } from '../../protocol/ntlm/ntlm-message.ts';
import {
  encodeNegTokenInit,
  encodeNegTokenResp,
  MECH_NTLM,
  mechTypeList,
  readNegotiateToken,
} from '../../protocol/spnego.ts';
import { channelBindingHash } from '../../protocol/tls/channel-binding.ts';
import type { Clock } from '../../util/clock.ts';
import { type AuthMechanism, SCHEME_OF, SCHEME_TOKEN } from '../auth-mechanism.ts';
import type { AuthMessage, AuthScheme, ChallengeResult, Unavailable } from '../auth-scheme.ts';
import { serverEndPoint } from './server-end-point.ts';

export interface NtlmSettings {
  readonly mechanism: Extract<AuthMechanism, 'ntlm' | 'ntlm-in-spnego' | 'ntlm-under-negotiate'>;
  readonly credential: Credential;
  /** Of the proxy, as the user names it. */
  readonly host: string;
  /** Appears in the logs of the proxy's domain. */
  readonly workstation: string;
  readonly clock: Clock;
}

type State =
  | { readonly at: 'new' }
  | { readonly at: 'offered'; readonly negotiate: Buffer }
  | {
      readonly at: 'challenged';
      readonly negotiate: Buffer;
      readonly challenge: Buffer;
      readonly form: 'bare' | 'spnego';
    }
  | { readonly at: 'proved' };

/** Type 1, 2 and 3 on one connection (MS-NLMP), in whichever wrapping the proxy answers. */
export class NtlmScheme implements AuthScheme {
  readonly #settings: NtlmSettings;
  #state: State = { at: 'new' };

  constructor(settings: NtlmSettings) {
    this.#settings = settings;
  }

  get mechanism(): AuthMechanism {
    return this.#settings.mechanism;
  }

  get sentCredentials(): boolean {
    return this.#state.at === 'proved';
  }

  get isFinalLeg(): boolean {
    return this.#state.at === 'challenged';
  }

  next(_message: AuthMessage, over: Sink): string | Unavailable {
    const state = this.#state;
    if (state.at === 'challenged') return this.#authenticate(state, over);
    const isSpnego = this.#settings.mechanism === 'ntlm-in-spnego';
    const negotiate = encodeNegotiate(isSpnego ? SPNEGO_FLAGS : HTTP_FLAGS);
    this.#state = { at: 'offered', negotiate };
    return this.#field(isSpnego ? encodeNegTokenInit([MECH_NTLM], negotiate) : negotiate);
  }

  onChallenge(challenges: readonly Challenge[]): ChallengeResult {
    const state = this.#state;
    // A Type 2 behind a Type 3 would be the beginning of a second try with the same password.
    if (state.at !== 'offered') return 'rejected';
    // Some proxies name the other scheme in their response.
    const [own = 'ntlm', other = 'ntlm'] =
      SCHEME_OF[this.mechanism] === 'ntlm' ? ['ntlm', 'negotiate'] : ['negotiate', 'ntlm'];
    const found = tokenOf(challenges, own) ?? tokenOf(challenges, other);
    if (found === undefined) return { unavailable: `it begins no ${this.#schemeToken} login` };
    const token = readNegotiateToken(found);
    const message =
      token?.kind === 'ntlm' ? token.message : token?.kind === 'response' ? token.responseToken : undefined;
    if (message === undefined) return { unavailable: `it answers ${this.#schemeToken} with something else than NTLM` };
    const form = token?.kind === 'ntlm' ? 'bare' : 'spnego';
    this.#state = { at: 'challenged', negotiate: state.negotiate, challenge: message, form };
    return 'go-on';
  }

  accepted(): undefined {}

  [Symbol.dispose](): void {}

  get #schemeToken(): string {
    return SCHEME_TOKEN[SCHEME_OF[this.mechanism]];
  }

  #field(token: Buffer): string {
    return `${this.#schemeToken} ${token.toString('base64')}`;
  }

  #authenticate(
    { negotiate, challenge, form }: Extract<State, { at: 'challenged' }>,
    over: Sink,
  ): string | Unavailable {
    const { credential, host, workstation, clock } = this.#settings;
    const endPoint = serverEndPoint(over);
    try {
      const { message, session, mic } = createNtlmAuthenticate({
        negotiate,
        challenge,
        identity: identityOf(credential),
        workstation,
        targetName: `HTTP/${host}`,
        ...(endPoint === undefined ? {} : { channelBinding: channelBindingHash(endPoint) }),
        wallMs: clock.wallMs(),
        clientChallenge: randomBytes(8),
        randomKey: randomBytes(16),
      });
      this.#state = { at: 'proved' };
      if (form === 'bare') return this.#field(message);
      const signed = mic === 'sent' ? session.firstSignature('client', mechTypeList([MECH_NTLM])) : undefined;
      return this.#field(encodeNegTokenResp(message, signed));
    } catch (error) {
      if (error instanceof ProxyError) return { unavailable: error.detail };
      throw error;
    }
  }
}

function identityOf({ user, domain, secret }: Credential): NtlmIdentity {
  const key: NtlmKey =
    secret.kind === 'password'
      ? { kind: 'password', secret: secret.password }
      : { kind: secret.kind, secret: secret.hash };
  return { user, domain: domain ?? '', key };
}

/** The token of the first challenge of this scheme that has one. */
export function tokenOf(challenges: readonly Challenge[], scheme: string): Buffer | undefined {
  const found = challenges.find((challenge) => challenge.scheme === scheme && challenge.token68 !== undefined);
  return found?.token68 === undefined ? undefined : Buffer.from(found.token68, 'base64');
}

/** A machine's name as Windows has it: one label in capitals. One that cannot be written so is not sent. */
export function workstationName(hostname: string): string {
  const [label = ''] = hostname.split('.');
  return /^[\w-]{1,15}$/.test(label) ? label.toUpperCase() : '';
}
