import type { Clock } from '../core/clock.ts';
import type { CredentialSecret } from '../core/contracts.ts';
import { ProxyError } from '../core/failure.ts';
import type { Secret } from '../core/secret.ts';
import { type Account, accountLabel, agree } from './account.ts';
import type { Found } from './credential.ts';
import { type Environment, ntlmAccount, ntlmCredentials } from './environment.ts';
import { KEYRING_SERVICE, type Keyring } from './keyring.ts';
import type { LoginWatch } from './login-watch.ts';
import type { SecretOrigin } from './options.ts';
import { readSecretFile, SecretFileError } from './secret-file.ts';
import { secretIn } from './secret-text.ts';

export interface SecretParts {
  readonly clock: Clock;
  readonly environment: Environment;
  readonly keyring: Keyring;
  readonly logins: LoginWatch;
  /** When the program started, in milliseconds of the wall clock: who logs in later comes before what it started with. */
  readonly startedMs: number;
}

/** Whose secret it is, and where it may be. */
export interface Wanted {
  readonly account: Account;
  /** `undefined`: wherever there is one. */
  readonly from: SecretOrigin | undefined;
  /** What was typed at start. */
  readonly prompted: Secret | undefined;
}

/** How long a secret is believed. A keyring is asked through another program; a file costs one system call. */
const KEYRING_TRUST_MS = 30_000;
const FILE_TRUST_MS = 1000;

interface Kept {
  readonly found: Found | undefined;
  readonly untilMs: number;
  readonly toldMs: number;
}
type Looked = { readonly found: Found | undefined } | 'unavailable';

/** The secret of one account as it is now: looked for again when it may have changed, once for all who ask meanwhile. */
export class AccountSecret {
  readonly #wanted: Wanted;
  readonly #parts: SecretParts;
  #kept: Kept | undefined;
  #looking: Promise<Found | undefined> | undefined;

  constructor(wanted: Wanted, parts: SecretParts) {
    this.#wanted = wanted;
    this.#parts = parts;
  }

  get account(): Account {
    return this.#wanted.account;
  }

  /** `undefined`: there is none. Throws `proxy_auth_failed` when a file holds it that must not be used. */
  async current(): Promise<Found | undefined> {
    const { told } = await this.#parts.logins.current();
    const toldMs = told[accountLabel(this.account)] ?? 0;
    if (this.#kept !== undefined && this.#kept.toldMs === toldMs && this.#parts.clock.now() < this.#kept.untilMs) {
      return this.#kept.found;
    }
    this.#looking ??= this.#look(toldMs).finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(toldMs: number): Promise<Found | undefined> {
    const looked = await this.#lookUp(toldMs);
    // A keyring that has been locked meanwhile, perhaps with the screen, does not make us forget.
    const found = looked === 'unavailable' ? this.#kept?.found : looked.found;
    const trustMs = this.#wanted.from?.kind === 'file' ? FILE_TRUST_MS : KEYRING_TRUST_MS;
    this.#kept = { found, untilMs: this.#parts.clock.now() + trustMs, toldMs };
    return found;
  }

  async #lookUp(toldMs: number): Promise<Looked> {
    const { from } = this.#wanted;
    switch (from?.kind) {
      case 'env':
        return { found: this.#fromVariable(from.name) };
      case 'file':
        return { found: await this.#fromFile(from.path) };
      case 'keyring':
        return this.#fromKeyring(toldMs);
      case 'prompt':
        return this.#oneOf(toldMs, toldMs > this.#parts.startedMs, [this.#fromPrompt()]);
      case undefined:
        return this.#fromAnywhere(toldMs);
    }
  }

  async #fromAnywhere(toldMs: number): Promise<Looked> {
    const fixed = this.#fromNtlmCredentials();
    if (toldMs > this.#parts.startedMs) return this.#oneOf(toldMs, true, [fixed, this.#fromPrompt()]);
    return fixed === undefined ? this.#oneOf(toldMs, true, [this.#fromPrompt()]) : { found: fixed };
  }

  /** What the keyring has, else the first of `others` that is there. */
  async #oneOf(toldMs: number, asksKeyring: boolean, others: readonly (Found | undefined)[]): Promise<Looked> {
    const looked = asksKeyring ? await this.#fromKeyring(toldMs) : undefined;
    if (looked !== undefined && looked !== 'unavailable' && looked.found !== undefined) return looked;
    // What the keyring gave before it was locked is newer than what the program was started with.
    if (looked === 'unavailable' && this.#kept?.found !== undefined) return looked;
    return { found: others.find((one) => one !== undefined) };
  }

  #found(secret: CredentialSecret | undefined, source: string, toldMs = 0): Found | undefined {
    return secret && { account: this.account, secret, source, toldMs };
  }

  #fromVariable(name: string): Found | undefined {
    return this.#found(secretIn(this.#parts.environment[name] ?? ''), `env:${name}`);
  }

  #fromPrompt(): Found | undefined {
    const { prompted } = this.#wanted;
    return this.#found(prompted && { kind: 'password', password: prompted }, 'prompt');
  }

  #fromNtlmCredentials(): Found | undefined {
    const read = ntlmCredentials(this.#parts.environment);
    if (read === undefined || !agree(read.account, this.account)) return undefined;
    const account = { user: read.account.user, domain: this.account.domain ?? read.account.domain };
    return { account, secret: read.secret, source: 'NTLM_CREDENTIALS', toldMs: 0 };
  }

  async #fromFile(path: string): Promise<Found | undefined> {
    try {
      return this.#found(await readSecretFile(path), `file:${path}`);
    } catch (cause) {
      if (!(cause instanceof SecretFileError)) throw cause;
      throw new ProxyError('proxy_auth_failed', `${path} ${cause.message}`, {
        cause,
        told: `The file with the secret of ${accountLabel(this.account)} ${cause.message}.`,
      });
    }
  }

  async #fromKeyring(toldMs: number): Promise<Looked> {
    for (const { service, entry } of this.#entries()) {
      const answer = await this.#parts.keyring.find(service, entry);
      if (answer.at === 'unavailable') return 'unavailable';
      if (answer.at === 'absent') continue;
      const source = service === KEYRING_SERVICE ? 'keyring' : `keyring (${service})`;
      const found = this.#found(secretIn(answer.secret.reveal()), source, toldMs);
      if (found !== undefined) return { found };
    }
    return { found: undefined };
  }

  /** Our own entry; then what users of Alpaca (`NTLM_USERNAME`) and of px (`DOMAIN\user`) have already stored. */
  #entries(): { readonly service: string; readonly entry: string }[] {
    const label = accountLabel(this.account);
    const alpaca = ntlmAccount(this.#parts.environment);
    const isAlpacas = alpaca === undefined || agree(alpaca, this.account);
    return [
      { service: KEYRING_SERVICE, entry: label },
      ...(isAlpacas ? [{ service: 'alpaca', entry: alpaca?.user ?? this.account.user }] : []),
      { service: 'Px', entry: label },
    ];
  }
}
