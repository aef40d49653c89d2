import type { Clock } from '../util/clock.ts';
import { type LoginRecord, loginVersion, NO_LOGIN, readLogin } from './login-record.ts';

/** The file's date is read each second at most: a user who has just logged in does not notice the delay. */
const CHECK_INTERVAL_MS = 1000;

/** The login record as `viaduct login` has left it, for a proxy that runs. */
export class LoginWatch {
  readonly #file: string | undefined;
  readonly #clock: Clock;
  #known: LoginRecord = NO_LOGIN;
  #version: string | undefined;
  #checkedMs: number | undefined;
  #refreshing: Promise<LoginRecord> | undefined;

  /** `file`: `undefined` where there is no folder for what outlives the proxy. */
  constructor(file: string | undefined, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
  }

  current(): Promise<LoginRecord> {
    const file = this.#file;
    const isFresh = this.#checkedMs !== undefined && this.#clock.now() - this.#checkedMs < CHECK_INTERVAL_MS;
    if (file === undefined || (isFresh && this.#refreshing === undefined)) return Promise.resolve(this.#known);
    this.#refreshing ??= this.#refresh(file).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #refresh(file: string): Promise<LoginRecord> {
    const version = await loginVersion(file);
    if (version !== this.#version) {
      this.#known = version === undefined ? NO_LOGIN : await readLogin(file);
      this.#version = version;
    }
    this.#checkedMs = this.#clock.now();
    return this.#known;
  }
}
