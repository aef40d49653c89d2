import type { Clock } from '../core/clock.ts';
import { type LoginRecord, loginVersion, NO_LOGIN, readLogin } from './login-record.ts';

/** A look at the file's date each second at most: whoever has just logged in does not notice it. */
const LOOK_MS = 1000;

/** What `viaduct login` has said so far, to proxies that run already. */
export class LoginWatch {
  readonly #file: string | undefined;
  readonly #clock: Clock;
  #known: LoginRecord = NO_LOGIN;
  #version: string | undefined;
  #lookedMs: number | undefined;
  #looking: Promise<LoginRecord> | undefined;

  /** `file`: `undefined` where there is no folder for what outlives the proxy. */
  constructor(file: string | undefined, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
  }

  current(): Promise<LoginRecord> {
    const file = this.#file;
    const isFresh = this.#lookedMs !== undefined && this.#clock.now() - this.#lookedMs < LOOK_MS;
    if (file === undefined || (isFresh && this.#looking === undefined)) return Promise.resolve(this.#known);
    this.#looking ??= this.#look(file).finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(file: string): Promise<LoginRecord> {
    const version = await loginVersion(file);
    if (version !== this.#version) {
      this.#known = version === undefined ? NO_LOGIN : await readLogin(file);
      this.#version = version;
    }
    this.#lookedMs = this.#clock.now();
    return this.#known;
  }
}
