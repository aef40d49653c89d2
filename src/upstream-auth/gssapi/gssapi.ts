import { type CallFailure, CallSlots } from '../../gssapi/call-slots.ts';
import type { Handle } from '../../gssapi/gss-functions.ts';
import { type GssLibrary, openGssLibrary } from '../../gssapi/gss-library.ts';
import { isDone, isFailure, reasonOf, TICKET_EXPIRED } from '../../gssapi/gss-reasons.ts';
import {
  encodeNegTokenInit,
  encodeNegTokenResp,
  MECH_KERBEROS,
  MECH_KERBEROS_MS,
  readNegotiateToken,
} from '../../protocol/spnego.ts';
import type { Clock } from '../../util/clock.ts';

/** Our Kerberos tickets: those that `kinit` or a login to the system left where KRB5CCNAME and krb5.conf say. */
export interface KerberosProvider {
  /**
   * A context of Negotiate with a service such as `HTTP@proxy.corp.example`; krb5.conf decides whether its name is made
   * canonical. Tickets are looked for at each call, so that one that came after the start is used. `binding`
   * ties the context to a TLS connection (protocol/tls/channel-binding.ts).
   */
  createContext(service: string, binding?: Buffer): Promise<GssContext | KerberosUnavailable>;
  /** When the tickets run out; `undefined`: there are none, they have run out, or they never do. */
  ticketExpiry(): Promise<Date | undefined>;
}
export interface GssContext extends Disposable {
  /** The next token for the proxy: the first one without an argument, then the answer to each of its tokens. */
  step(token?: Buffer): Promise<GssStep | KerberosUnavailable>;
}
/** `done`: nothing more is expected of the proxy, and it has proved its identity if it sent a token. */
export interface GssStep {
  readonly token: Buffer | undefined;
  readonly done: boolean;
}
/** One clause for people: why there is no Kerberos. */
export interface KerberosUnavailable {
  readonly unavailable: string;
}

export interface KerberosDeps {
  readonly clock: Clock;
  readonly platform: NodeJS.Platform;
  /** Default: the system's. */
  readonly open?: typeof openGssLibrary;
}

/**
 * Kerberos by the system's GSS-API, which is loaded when it is first asked for. SPNEGO around it is our own: that of the
 * library would fall back to any mechanism that is plugged into it, NTLM too, and hides Kerberos' codes behind its own.
 */
export function systemKerberos({ clock, platform, open = openGssLibrary }: KerberosDeps): KerberosProvider {
  const slots = new CallSlots(clock);
  let opening: Promise<GssLibrary | KerberosUnavailable> | undefined;
  const library = (): Promise<GssLibrary | KerberosUnavailable> => {
    opening ??= open(platform);
    return opening;
  };

  return {
    async createContext(service, binding) {
      const gss = await library();
      if ('unavailable' in gss) return gss;
      const begin = (): Promise<KerberosContext | KerberosUnavailable> => beginContext(gss, slots, service, binding);
      const begun = await slots.run(begin, (late) => {
        if (!('unavailable' in late)) late[Symbol.dispose]();
      });
      return typeof begun === 'string' ? callFailure(begun) : begun;
    },
    async ticketExpiry() {
      const gss = await library();
      if ('unavailable' in gss) return undefined;
      const read = async (): Promise<number> => {
        const { credential, lifetimeS } = await gss.acquire();
        gss.releaseCredential(credential);
        return lifetimeS;
      };
      const lifetimeS = await slots.run(read, () => undefined);
      const isLimited = typeof lifetimeS === 'number' && lifetimeS > 0 && Number.isFinite(lifetimeS);
      return isLimited ? new Date(clock.wallMs() + lifetimeS * 1000) : undefined;
    },
  };
}

async function beginContext(
  gss: GssLibrary,
  slots: CallSlots,
  service: string,
  binding: Buffer | undefined,
): Promise<KerberosContext | KerberosUnavailable> {
  const acquired = await gss.acquire();
  const { credential } = acquired;
  const refuse = (unavailable: string): KerberosUnavailable => {
    gss.releaseCredential(credential);
    return { unavailable };
  };
  if (isFailure(acquired)) return refuse(reasonOf(acquired, gss.textOf));
  // Known without asking the KDC, which would say the same.
  if (acquired.lifetimeS === 0) return refuse(TICKET_EXPIRED);
  const imported = await gss.importService(service);
  if (isFailure(imported)) return refuse(reasonOf(imported, gss.textOf));
  return new KerberosContext(gss, slots, { credential, name: imported.name, binding });
}

interface ContextHandles {
  readonly credential: Handle;
  readonly name: Handle;
  readonly binding: Buffer | undefined;
}

class KerberosContext implements GssContext {
  readonly #gss: GssLibrary;
  readonly #slots: CallSlots;
  readonly #handles: ContextHandles;
  #context: Handle = null;
  #at: 'new' | 'idle' | 'calling' | 'over' = 'new';
  /** What a thread still uses must not be released. */
  #isOnThread = false;

  constructor(gss: GssLibrary, slots: CallSlots, parts: ContextHandles) {
    this.#gss = gss;
    this.#slots = slots;
    this.#handles = parts;
  }

  async step(token?: Buffer): Promise<GssStep | KerberosUnavailable> {
    const before = this.#at;
    if (before === 'over' || before === 'calling') return OVER;
    const answer = token === undefined ? { token: undefined } : readToken(token);
    if ('unavailable' in answer) return this.#end(answer);
    // Accepted without a token: the proxy does not prove its identity, and many never do.
    if (before === 'idle' && answer.token === undefined) return { token: undefined, done: true };
    this.#at = 'calling';
    const initiate = (): Promise<GssStep | KerberosUnavailable> => this.#initiate(answer.token);
    const result = await this.#slots.run(initiate, () => undefined);
    if (typeof result === 'string') return this.#end(callFailure(result));
    if ('unavailable' in result) return this.#end(result);
    if (result.token === undefined) return result;
    const wrap =
      before === 'new'
        ? encodeNegTokenInit([MECH_KERBEROS], result.token)
        : encodeNegTokenResp(result.token, undefined);
    return { token: wrap, done: result.done };
  }

  async #initiate(token: Buffer | undefined): Promise<GssStep | KerberosUnavailable> {
    if (this.#isOver()) return OVER;
    this.#isOnThread = true;
    const given = await this.#gss.initiate({ ...this.#handles, context: this.#context, token });
    this.#isOnThread = false;
    this.#context = given.context;
    if (this.#isOver()) this.#release();
    else this.#at = 'idle';
    return isFailure(given)
      ? { unavailable: reasonOf(given, this.#gss.textOf) }
      : { token: given.token, done: isDone(given) };
  }

  #end(unavailable: KerberosUnavailable): KerberosUnavailable {
    this[Symbol.dispose]();
    return unavailable;
  }

  [Symbol.dispose](): void {
    if (this.#at === 'over') return;
    this.#at = 'over';
    if (!this.#isOnThread) this.#release();
  }

  #isOver(): boolean {
    return this.#at === 'over';
  }

  #release(): void {
    this.#gss.releaseContext(this.#context);
    this.#gss.releaseName(this.#handles.name);
    this.#gss.releaseCredential(this.#handles.credential);
  }
}

const OVER: KerberosUnavailable = { unavailable: 'this login is over' };

const callFailure = (why: CallFailure): KerberosUnavailable => ({
  unavailable:
    why === 'full' ? 'too many requests wait for Kerberos' : 'Kerberos does not answer; perhaps its KDC is silent',
});

/** The part of the proxy's token that is for Kerberos. */
function readToken(token: Buffer): { readonly token: Buffer | undefined } | KerberosUnavailable {
  const parsed = readNegotiateToken(token);
  if (parsed?.kind !== 'response') return { unavailable: 'the proxy answers a ticket with something else than SPNEGO' };
  const { state, mech, responseToken } = parsed;
  if (state === 'reject') return { unavailable: 'the proxy rejects the Kerberos ticket' };
  if (mech !== undefined && mech !== MECH_KERBEROS && mech !== MECH_KERBEROS_MS) {
    return { unavailable: `the proxy wants another mechanism than Kerberos (${mech})` };
  }
  return { token: responseToken };
}
