import { randomBytes } from 'node:crypto';
import type { Clock } from '../util/clock.ts';

const CODE_BYTES = 16;
/** As long as a person may take from the terminal to the browser. */
export const CODE_MS = 10 * 60_000;
/** Codes that are valid at the same time; the oldest gives way. */
const CODES_MAX = 16;

/** Codes that a browser exchanges for the token: of 128 bits, for ten minutes, each once. */
export class OneTimeCodes {
  readonly #clock: Clock;
  /** When each ends. */
  readonly #codes = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  create(): string {
    const [oldest] = this.#codes.keys();
    if (this.#codes.size >= CODES_MAX && oldest !== undefined) this.#codes.delete(oldest);
    const code = randomBytes(CODE_BYTES).toString('base64url');
    this.#codes.set(code, this.#clock.now() + CODE_MS);
    return code;
  }

  /** Whether it is valid; it is used up then. Found by its hash in a table: how long that takes says nothing about others. */
  redeem(code: string): boolean {
    const untilMs = this.#codes.get(code);
    if (untilMs === undefined) return false;
    this.#codes.delete(code);
    return this.#clock.now() < untilMs;
  }

  /** The token has changed: links of before lead to nothing that was asked for. */
  clear(): void {
    this.#codes.clear();
  }
}
