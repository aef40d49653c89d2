import { randomBytes } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import type { Credential } from '../../core/contracts.ts';
import { ProxyError } from '../../core/failure.ts';
import type { Sink } from '../../core/source.ts';
import type { Challenge } from '../../protocol/challenge.ts';
import { channelBindingHash } from '../../protocol/channel-binding.ts';
import { answerNtlm } from '../../protocol/ntlm-authenticate.ts';
import { HTTP_FLAGS, SPNEGO_FLAGS } from '../../protocol/ntlm-flags.ts';
import type { NtlmIdentity, NtlmKey } from '../../protocol/ntlm-hash.ts';
import { encodeNegotiate } from '../../protocol/ntlm-message.ts';
import {
  encodeNegTokenInit,
  encodeNegTokenResp,
  MECH_NTLM,
  mechTypeList,
  readNegotiateToken,
} from '../../protocol/spnego.ts';
import { serverEndPoint } from './end-point.ts';
import type { AuthMessage, Obstacle, Talk, Verdict } from './talk.ts';
import { SCHEME_OF, SCHEME_WORD, type Way } from './ways.ts';

export interface NtlmSettings {
  readonly way: Extract<Way, 'ntlm' | 'ntlm-in-spnego' | 'ntlm-under-negotiate'>;
  readonly credential: Credential;
  /** Of the proxy, as the user names it. */
  readonly host: string;
  /** Told to the logs of the proxy's domain. */
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
export class NtlmTalk implements Talk {
  readonly #settings: NtlmSettings;
  #state: State = { at: 'new' };

  constructor(settings: NtlmSettings) {
    this.#settings = settings;
  }

  get way(): Way {
    return this.#settings.way;
  }

  get hasProved(): boolean {
    return this.#state.at === 'proved';
  }

  get isLast(): boolean {
    return this.#state.at === 'challenged';
  }

  next(_message: AuthMessage, over: Sink): string | Obstacle {
    const state = this.#state;
    if (state.at === 'challenged') return this.#prove(state, over);
    const isSpnego = this.#settings.way === 'ntlm-in-spnego';
    const negotiate = encodeNegotiate(isSpnego ? SPNEGO_FLAGS : HTTP_FLAGS);
    this.#state = { at: 'offered', negotiate };
    return this.#field(isSpnego ? encodeNegTokenInit([MECH_NTLM], negotiate) : negotiate);
  }

  judge(challenges: readonly Challenge[]): Verdict {
    const state = this.#state;
    // A Type 2 behind a Type 3 would be the beginning of a second try with the same password.
    if (state.at !== 'offered') return 'rejected';
    // Some proxies name the other scheme in their answer.
    const [own = 'ntlm', other = 'ntlm'] =
      SCHEME_OF[this.way] === 'ntlm' ? ['ntlm', 'negotiate'] : ['negotiate', 'ntlm'];
    const found = tokenOf(challenges, own) ?? tokenOf(challenges, other);
    if (found === undefined) return { obstacle: `it begins no ${this.#word} logon` };
    const token = readNegotiateToken(found);
    const message =
      token?.kind === 'ntlm' ? token.message : token?.kind === 'response' ? token.responseToken : undefined;
    if (message === undefined) return { obstacle: `it answers ${this.#word} with something else than NTLM` };
    const form = token?.kind === 'ntlm' ? 'bare' : 'spnego';
    this.#state = { at: 'challenged', negotiate: state.negotiate, challenge: message, form };
    return 'go-on';
  }

  accepted(): undefined {}

  [Symbol.dispose](): void {}

  get #word(): string {
    return SCHEME_WORD[SCHEME_OF[this.way]];
  }

  #field(token: Buffer): string {
    return `${this.#word} ${token.toString('base64')}`;
  }

  #prove({ negotiate, challenge, form }: Extract<State, { at: 'challenged' }>, over: Sink): string | Obstacle {
    const { credential, host, workstation, clock } = this.#settings;
    const endPoint = serverEndPoint(over);
    try {
      const { message, session, mic } = answerNtlm({
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
      if (error instanceof ProxyError) return { obstacle: error.detail };
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

/** A machine's name as Windows has it: one label in capitals. One that cannot be written so is not told. */
export function workstationName(hostname: string): string {
  const [label = ''] = hostname.split('.');
  return /^[\w-]{1,15}$/.test(label) ? label.toUpperCase() : '';
}
