import { type Account, accountLabel } from '../contracts/account.ts';
import { ProxyError } from '../contracts/failure.ts';
import type { Secret } from '../contracts/secret.ts';
import type { CredentialSecret } from '../contracts/upstream-account.ts';
import type { Clock } from '../util/clock.ts';
import { isSameAccount } from './account.ts';
import type { FoundSecret } from './credential.ts';
import { type Environment, ntlmAccount, ntlmCredentials } from './environment.ts';
import { KEYRING_SERVICE, type Keyring } from './keyring/keyring.ts';
import type { LoginWatch } from './login-watch.ts';
import type { SecretOrigin } from './options.ts';
import { readSecretFile, SecretFileError, writtenMs } from './secret-file.ts';
import { parseSecret } from './secret-text.ts';

export interface SecretDeps {
  readonly clock: Clock;
  readonly environment: Environment;
  readonly keyring: Keyring;
  readonly logins: LoginWatch;
  /** When the program started, in wall-clock milliseconds: a later `viaduct login` takes precedence over its environment. */
  readonly startedMs: number;
}

/** The account of a secret, and where the secret may be. */
export interface SecretQuery {
  readonly account: Account;
  /** `undefined`: any source that has one. */
  readonly from: SecretOrigin | undefined;
  /** What was typed at start. */
  readonly prompted: Secret | undefined;
}

/** How long a secret is used before it is looked for again. A keyring is another program; a file costs one system call. */
const KEYRING_TTL_MS = 30_000;
const FILE_TTL_MS = 1000;
/** A file that has changed is read when nothing has been written to it for so long; until then the earlier secret is used. */
const QUIET_MS = 1000;

interface CachedSecret {
  readonly found: FoundSecret | undefined;
  readonly untilMs: number;
  readonly loginMs: number;
}
type SecretLookup = { readonly found: FoundSecret | undefined } | 'unavailable';

/** The current secret of one account: looked for again when it may have changed, once for all requests that wait for it. */
export class AccountSecret {
  readonly #query: SecretQuery;
  readonly #deps: SecretDeps;
  #cached: CachedSecret | undefined;
  #refreshing: Promise<FoundSecret | undefined> | undefined;
  /** Why the keyring could not be asked, when it was last tried. */
  #keyringFailure: string | undefined;

  constructor(query: SecretQuery, deps: SecretDeps) {
    this.#query = query;
    this.#deps = deps;
  }

  get account(): Account {
    return this.#query.account;
  }

  /** Why there is no secret, and what to do: a clause for people. */
  get missing(): string {
    const { from } = this.#query;
    const label = accountLabel(this.account);
    if (from?.kind === 'env') return `the variable ${from.name} has no password of ${label}: start viaduct with it`;
    if (from?.kind === 'file') return `the file ${from.path} has no password of ${label}: write it there`;
    if (this.#keyringFailure !== undefined)
      return `the keyring cannot be asked for the password of ${label} (${this.#keyringFailure}): viaduct login says more`;
    return `the keyring has no password of ${label}: use viaduct login`;
  }

  /** `undefined`: there is none. Throws `upstream_auth_failed` when a file holds it that must not be used. */
  async current(): Promise<FoundSecret | undefined> {
    const { loginTimes } = await this.#deps.logins.current();
    const loginMs = loginTimes[accountLabel(this.account)] ?? 0;
    if (
      this.#cached !== undefined &&
      this.#cached.loginMs === loginMs &&
      this.#deps.clock.now() < this.#cached.untilMs
    ) {
      return this.#cached.found;
    }
    this.#refreshing ??= this.#refresh(loginMs).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #refresh(loginMs: number): Promise<FoundSecret | undefined> {
    const result = await this.#lookUp(loginMs);
    // A keyring that has been locked meanwhile, perhaps with the screen, does not change the secret.
    const found = result === 'unavailable' ? this.#cached?.found : result.found;
    const ttlMs = this.#query.from?.kind === 'file' ? FILE_TTL_MS : KEYRING_TTL_MS;
    this.#cached = { found, untilMs: this.#deps.clock.now() + ttlMs, loginMs };
    return found;
  }

  async #lookUp(loginMs: number): Promise<SecretLookup> {
    const { from } = this.#query;
    switch (from?.kind) {
      case 'env':
        return { found: this.#fromVariable(from.name) };
      case 'file':
        return { found: await this.#fromFile(from.path) };
      case 'keyring':
        return this.#fromKeyring(loginMs);
      case 'prompt':
        return this.#firstOf(loginMs, loginMs > this.#deps.startedMs, [this.#fromPrompt()]);
      case undefined:
        return this.#fromAnywhere(loginMs);
    }
  }

  async #fromAnywhere(loginMs: number): Promise<SecretLookup> {
    const fixed = this.#fromNtlmCredentials();
    if (loginMs > this.#deps.startedMs) return this.#firstOf(loginMs, true, [fixed, this.#fromPrompt()]);
    return fixed === undefined ? this.#firstOf(loginMs, true, [this.#fromPrompt()]) : { found: fixed };
  }

  /** What the keyring has, else the first of `others` that exists. */
  async #firstOf(
    loginMs: number,
    asksKeyring: boolean,
    others: readonly (FoundSecret | undefined)[],
  ): Promise<SecretLookup> {
    const result = asksKeyring ? await this.#fromKeyring(loginMs) : undefined;
    if (result !== undefined && result !== 'unavailable' && result.found !== undefined) return result;
    // What the keyring gave before it was locked is newer than what the program was started with.
    if (result === 'unavailable' && this.#cached?.found !== undefined) return result;
    return { found: others.find((one) => one !== undefined) };
  }

  #foundSecret(secret: CredentialSecret | undefined, source: string, loginMs = 0): FoundSecret | undefined {
    return secret && { account: this.account, secret, source, loginMs };
  }

  #fromVariable(name: string): FoundSecret | undefined {
    return this.#foundSecret(parseSecret(this.#deps.environment[name] ?? ''), `env:${name}`);
  }

  #fromPrompt(): FoundSecret | undefined {
    const { prompted } = this.#query;
    return this.#foundSecret(prompted && { kind: 'password', password: prompted }, 'prompt');
  }

  #fromNtlmCredentials(): FoundSecret | undefined {
    const read = ntlmCredentials(this.#deps.environment);
    if (read === undefined || !isSameAccount(read.account, this.account)) return undefined;
    const account = { user: read.account.user, domain: this.account.domain ?? read.account.domain };
    return { account, secret: read.secret, source: 'NTLM_CREDENTIALS', loginMs: 0 };
  }

  async #fromFile(path: string): Promise<FoundSecret | undefined> {
    // A program may be writing it: half a password would count as a wrong one.
    const atMs = this.#cached?.found === undefined ? undefined : await writtenMs(path);
    if (atMs !== undefined && Math.abs(this.#deps.clock.wallMs() - atMs) < QUIET_MS) return this.#cached?.found;
    try {
      return this.#foundSecret(await readSecretFile(path), `file:${path}`);
    } catch (cause) {
      if (!(cause instanceof SecretFileError)) throw cause;
      throw new ProxyError('upstream_auth_failed', `${path} ${cause.message}`, {
        cause,
        clientDetail: `The file with the secret of ${accountLabel(this.account)} ${cause.message}.`,
      });
    }
  }

  async #fromKeyring(loginMs: number): Promise<SecretLookup> {
    for (const { service, entry } of this.#entries()) {
      const result = await this.#deps.keyring.find(service, entry);
      this.#keyringFailure = result.at === 'unavailable' ? result.why : undefined;
      if (result.at === 'unavailable') return 'unavailable';
      if (result.at === 'absent') continue;
      const source = service === KEYRING_SERVICE ? 'keyring' : `keyring (${service})`;
      const found = this.#foundSecret(parseSecret(result.secret.reveal()), source, loginMs);
      if (found !== undefined) return { found };
    }
    return { found: undefined };
  }

  /** Our own entry; then what users of Alpaca (`NTLM_USERNAME`) and of px (`DOMAIN\user`) have already stored. */
  #entries(): { readonly service: string; readonly entry: string }[] {
    const label = accountLabel(this.account);
    const alpaca = ntlmAccount(this.#deps.environment);
    const isAlpacas = alpaca === undefined || isSameAccount(alpaca, this.account);
    return [
      { service: KEYRING_SERVICE, entry: label },
      ...(isAlpacas ? [{ service: 'alpaca', entry: alpaca?.user ?? this.account.user }] : []),
      { service: 'Px', entry: label },
    ];
  }
}
