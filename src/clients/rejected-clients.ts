import type { Wire } from '../contracts/wire.ts';
import type { Clock } from '../util/clock.ts';

/** Time that a rejected client has to read why. */
const READ_MS = 1_000;
/** The same while many are rejected: a response arrives within a round trip, and the next client waits for a place. */
const READ_CROWDED_MS = 100;
/** So many at once are a crowd; a quarter of the places, where there are few. */
const CROWDED_FROM = 64;
/** There are always places for so many, or clients could be neither served nor rejected. */
const PLACES_MIN = 32;
/** How often clients are looked for whose time is over. */
const SCAN_INTERVAL_MS = 20;

/**
 * Clients that were rejected. Each is left time to read why: a reset for a request that is
 * still on its way could take the response from it (RFC 9112 §9.6). Each costs a descriptor meanwhile, so places are bounded.
 */
export class RejectedClients {
  readonly #clock: Clock;
  readonly #placesMax: () => number;
  /** When each was rejected, the oldest first. */
  readonly #sinceMs = new Map<Wire, number>();
  #scan: Disposable | undefined;

  constructor(clock: Clock, placesMax: () => number = () => PLACES_MIN) {
    this.#clock = clock;
    this.#placesMax = placesMax;
  }

  get size(): number {
    return this.#sinceMs.size;
  }

  /** A listener that can pause should accept no more for now. */
  get isCrowded(): boolean {
    return this.#sinceMs.size >= Math.min(CROWDED_FROM, this.#places / 4);
  }

  /** Sends the rejection, and closes the connection when the client has, or when its time is over. */
  add(wire: Wire, rejection: Buffer): void {
    const { stream } = wire;
    if (this.#sinceMs.size >= this.#places) this.#closeOldest();
    this.#sinceMs.set(wire, this.#clock.now());
    this.#scan ??= this.#clock.after(SCAN_INTERVAL_MS, () => this.#closeLate());
    stream.once('close', () => this.#forget(wire));
    stream.write(rejection);
    stream.end();
    const close = () => this.#close(wire);
    wire.deliverTo({ bytes: () => undefined, end: close, failed: close });
  }

  /** Closes all of them: nothing may outlive the proxy. */
  close(): void {
    for (const wire of [...this.#sinceMs.keys()]) this.#close(wire);
  }

  get #places(): number {
    return Math.max(PLACES_MIN, this.#placesMax());
  }

  #closeOldest(): void {
    const [oldest] = this.#sinceMs.keys();
    if (oldest !== undefined) this.#close(oldest);
  }

  #closeLate(): void {
    this.#scan = undefined;
    const sinceMs = this.#clock.now() - (this.isCrowded ? READ_CROWDED_MS : READ_MS);
    for (const [wire, rejectedMs] of [...this.#sinceMs]) {
      if (rejectedMs > sinceMs) break;
      this.#close(wire);
    }
    if (this.#sinceMs.size > 0) this.#scan = this.#clock.after(SCAN_INTERVAL_MS, () => this.#closeLate());
  }

  #close(wire: Wire): void {
    wire.stream.destroy();
    this.#forget(wire);
  }

  #forget(wire: Wire): void {
    this.#sinceMs.delete(wire);
    if (this.#sinceMs.size > 0) return;
    this.#scan?.[Symbol.dispose]();
    this.#scan = undefined;
  }
}
