import type { Clock } from '../../core/clock.ts';
import {
  encodeNegTokenInit,
  encodeNegTokenResp,
  MECH_KERBEROS,
  MECH_KERBEROS_MS,
  readNegotiateToken,
} from '../../protocol/spnego.ts';
import { CallSlots, type NotCalled } from './call-slots.ts';
import type { Handle } from './gss-functions.ts';
import { type GssLibrary, openGssLibrary } from './gss-library.ts';
import { isDone, isFailure, reasonOf, TICKET_EXPIRED } from './gss-reasons.ts';

/** Who we are by Kerberos: the tickets that `kinit` or a logon left, wherever KRB5CCNAME and krb5.conf say. */
export interface Ticketing {
  /**
   * A conversation of Negotiate with a service such as `HTTP@proxy.corp.example`; whether its name is made canonical is
   * krb5.conf's business. Tickets are looked for at each call, so that one that came after the start is used. `binding`
   * ties the conversation to a TLS connection (protocol/channel-binding.ts).
   */
  offer(service: string, binding?: Buffer): Promise<GssContext | No>;
  /** When the tickets run out; `undefined`: there are none, they have run out, or they never do. */
  ticketExpiry(): Promise<Date | undefined>;
}
export interface GssContext extends Disposable {
  /** The next token for the proxy: the first one without an argument, then the answer to each of its tokens. */
  step(token?: Buffer): Promise<GssStep | No>;
}
/** `done`: nothing more is expected of the proxy, and it has proved who it is if it sent a token. */
export interface GssStep {
  readonly token: Buffer | undefined;
  readonly done: boolean;
}
/** One clause for people: why there is no Kerberos. */
export interface No {
  readonly no: string;
}

export interface TicketingParts {
  readonly clock: Clock;
  readonly platform: NodeJS.Platform;
  /** Default: the system's. */
  readonly open?: typeof openGssLibrary;
}

/**
 * Kerberos by the system's GSS-API, which is loaded when it is first asked for. SPNEGO around it is our own: that of the
 * library would fall back to whatever mechanism is plugged into it, NTLM too, and hides Kerberos' codes behind its own.
 */
export function systemTicketing({ clock, platform, open = openGssLibrary }: TicketingParts): Ticketing {
  const slots = new CallSlots(clock);
  let opening: Promise<GssLibrary | No> | undefined;
  const library = (): Promise<GssLibrary | No> => {
    opening ??= open(platform);
    return opening;
  };

  return {
    async offer(service, binding) {
      const gss = await library();
      if ('no' in gss) return gss;
      const begin = (): Promise<KerberosContext | No> => beginContext(gss, slots, service, binding);
      const begun = await slots.run(begin, (late) => {
        if (!('no' in late)) late[Symbol.dispose]();
      });
      return typeof begun === 'string' ? notCalled(begun) : begun;
    },
    async ticketExpiry() {
      const gss = await library();
      if ('no' in gss) return undefined;
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
): Promise<KerberosContext | No> {
  const acquired = await gss.acquire();
  const { credential } = acquired;
  const refuse = (no: string): No => {
    gss.releaseCredential(credential);
    return { no };
  };
  if (isFailure(acquired)) return refuse(reasonOf(acquired, gss.textOf));
  // Known without asking the KDC, which would say the same.
  if (acquired.lifetimeS === 0) return refuse(TICKET_EXPIRED);
  const imported = await gss.importService(service);
  if (isFailure(imported)) return refuse(reasonOf(imported, gss.textOf));
  return new KerberosContext(gss, slots, { credential, name: imported.name, binding });
}

interface Parts {
  readonly credential: Handle;
  readonly name: Handle;
  readonly binding: Buffer | undefined;
}

class KerberosContext implements GssContext {
  readonly #gss: GssLibrary;
  readonly #slots: CallSlots;
  readonly #parts: Parts;
  #context: Handle = null;
  #at: 'new' | 'idle' | 'calling' | 'over' = 'new';
  /** What a thread works with is not released under it. */
  #isOnThread = false;

  constructor(gss: GssLibrary, slots: CallSlots, parts: Parts) {
    this.#gss = gss;
    this.#slots = slots;
    this.#parts = parts;
  }

  async step(token?: Buffer): Promise<GssStep | No> {
    const before = this.#at;
    if (before === 'over' || before === 'calling') return OVER;
    const answer = token === undefined ? { token: undefined } : readAnswer(token);
    if ('no' in answer) return this.#end(answer);
    // A yes without a token: the proxy does not prove who it is, and many never do.
    if (before === 'idle' && answer.token === undefined) return { token: undefined, done: true };
    this.#at = 'calling';
    const initiate = (): Promise<GssStep | No> => this.#initiate(answer.token);
    const given = await this.#slots.run(initiate, () => undefined);
    if (typeof given === 'string') return this.#end(notCalled(given));
    if ('no' in given) return this.#end(given);
    if (given.token === undefined) return given;
    const wrap =
      before === 'new' ? encodeNegTokenInit([MECH_KERBEROS], given.token) : encodeNegTokenResp(given.token, undefined);
    return { token: wrap, done: given.done };
  }

  async #initiate(token: Buffer | undefined): Promise<GssStep | No> {
    if (this.#isOver()) return OVER;
    this.#isOnThread = true;
    const given = await this.#gss.initiate({ ...this.#parts, context: this.#context, token });
    this.#isOnThread = false;
    this.#context = given.context;
    if (this.#isOver()) this.#release();
    else this.#at = 'idle';
    return isFailure(given) ? { no: reasonOf(given, this.#gss.textOf) } : { token: given.token, done: isDone(given) };
  }

  #end(no: No): No {
    this[Symbol.dispose]();
    return no;
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
    this.#gss.releaseName(this.#parts.name);
    this.#gss.releaseCredential(this.#parts.credential);
  }
}

const OVER: No = { no: 'this conversation with the proxy is over' };

const notCalled = (why: NotCalled): No => ({
  no: why === 'full' ? 'too many requests wait for Kerberos' : 'Kerberos does not answer; perhaps its KDC is silent',
});

/** What Kerberos is to read of the proxy's token. */
function readAnswer(token: Buffer): { readonly token: Buffer | undefined } | No {
  const answer = readNegotiateToken(token);
  if (answer?.kind !== 'response') return { no: 'the proxy answers a ticket with something else than SPNEGO' };
  const { state, mech, responseToken } = answer;
  if (state === 'reject') return { no: 'the proxy rejects the Kerberos ticket' };
  if (mech !== undefined && mech !== MECH_KERBEROS && mech !== MECH_KERBEROS_MS) {
    return { no: `the proxy wants another mechanism than Kerberos (${mech})` };
  }
  return { token: responseToken };
}
