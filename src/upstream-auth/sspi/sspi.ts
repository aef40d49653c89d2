import { type CallFailure, CallSlots } from '../../gssapi/call-slots.ts';
import type { Clock } from '../../util/clock.ts';
import {
  isSspiFailure,
  openSspiLibrary,
  type SspiAccount,
  type SspiLibrary,
  type SspiLogin,
  type SspiPackage,
} from './sspi-library.ts';

/** One clause for people: why there is no login by Windows. */
export interface SspiUnavailable {
  readonly unavailable: string;
}

/** A login by Windows itself: of the user who is logged in, or of an account. */
export interface SspiProvider {
  createContext(name: SspiPackage, account: SspiAccount | undefined): Promise<SspiContext | SspiUnavailable>;
}

export interface SspiContext extends Disposable {
  /** The next token for the proxy at `host`: the first one without an argument, then the answer to each of its tokens. */
  step(host: string, token?: Buffer, binding?: Buffer): Promise<{ readonly token: Buffer } | SspiUnavailable>;
}

export interface SspiDeps {
  readonly clock: Clock;
  readonly platform: NodeJS.Platform;
  /** Default: the system's. */
  readonly open?: typeof openSspiLibrary;
}

/** Windows' SSPI, which is loaded when it is first asked for. `undefined` on every other system. */
export function systemSspi({ clock, platform, open = openSspiLibrary }: SspiDeps): SspiProvider | undefined {
  if (platform !== 'win32') return undefined;
  const slots = new CallSlots(clock);
  let opening: Promise<SspiLibrary | SspiUnavailable> | undefined;
  return {
    async createContext(name, account) {
      opening ??= open(platform);
      const library = await opening;
      if ('unavailable' in library) return library;
      const begun = await slots.run(
        () => library.begin(name, account),
        (late) => {
          if (!('status' in late)) late.release();
        },
      );
      if (typeof begun === 'string') return callFailure(begun);
      return 'status' in begun ? { unavailable: reasonOf(begun.status) } : new Context(begun, slots);
    },
  };
}

class Context implements SspiContext {
  readonly #login: SspiLogin;
  readonly #slots: CallSlots;
  /** What a thread still uses must not be released. */
  #at: 'idle' | 'calling' | 'over while calling' | 'over' = 'idle';

  constructor(login: SspiLogin, slots: CallSlots) {
    this.#login = login;
    this.#slots = slots;
  }

  async step(host: string, token?: Buffer, binding?: Buffer): Promise<{ readonly token: Buffer } | SspiUnavailable> {
    if (this.#at !== 'idle') return { unavailable: 'this login is over' };
    const call = async () => {
      this.#at = 'calling';
      try {
        return await this.#login.step(`HTTP/${host}`, token, binding);
      } finally {
        this.#settle();
      }
    };
    const result = await this.#slots.run(call, () => undefined);
    if (typeof result === 'string') return callFailure(result);
    if (isSspiFailure(result.status)) return { unavailable: reasonOf(result.status) };
    return result.token === undefined ? { unavailable: 'Windows has no further token' } : { token: result.token };
  }

  [Symbol.dispose](): void {
    if (this.#at === 'calling') this.#at = 'over while calling';
    if (this.#at !== 'idle') return;
    this.#at = 'over';
    this.#login.release();
  }

  #settle(): void {
    const isOver = this.#at === 'over while calling';
    this.#at = isOver ? 'over' : 'idle';
    if (isOver) this.#login.release();
  }
}

const callFailure = (why: CallFailure): SspiUnavailable => ({
  unavailable:
    why === 'full'
      ? 'too many requests wait for a login by Windows'
      : 'Windows does not answer; perhaps its domain controller is silent',
});

/** What users meet, by winerror.h; another code is named as it is. */
const REASONS: Readonly<Record<number, string>> = {
  2148074252: 'Windows refuses the account',
  2148074253: 'Windows does not know these credentials',
  2148074254: 'the user of Windows has no credentials for it, and no account is stored (viaduct login)',
  2148074243: 'the domain does not know this proxy by that name',
  2148074245: 'this system has no such security package',
  2148074248: 'the proxy sent a token that Windows cannot read',
  2148074257: 'no domain controller can be reached',
  2148074242: 'Windows does not support what the proxy asks for',
  2148074276: 'the clocks of this machine and of the domain controller are too far apart',
};

const reasonOf = (status: number): string =>
  REASONS[status] ?? `SSPI fails with 0x${status.toString(16).padStart(8, '0')}`;
