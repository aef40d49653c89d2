import type { Duplex } from 'node:stream';
import type { Ownership, Receiver, Sink, Wire } from './source.ts';

/** What a receiver is told when the connection closed without an error and without an end. */
const closedEarly = (): Error => Object.assign(new Error('connection closed'), { code: 'ECONNRESET' });

/** How the reading of a wire ended. */
export type Fate =
  | { readonly at: 'open' }
  | { readonly at: 'ended' }
  | { readonly at: 'failed'; readonly error: Error | undefined };

const OPEN: Fate = { at: 'open' };

/** What all wires share: one receiver, and a fate that is told to whoever is there to hear it. */
export abstract class AnyWire implements Wire {
  abstract readonly stream: Sink;
  protected paused = true;
  #receiver: Receiver | undefined;
  #fate: Fate = OPEN;
  #untold = false;

  abstract reset(): void;
  abstract lend(buffer: Buffer | undefined): void;
  abstract toDuplex(): Duplex;
  protected abstract stopReading(): void;
  protected abstract startReading(): void;

  deliverTo(receiver: Receiver | undefined): void {
    this.#receiver = receiver;
    if (receiver === undefined) return this.pause();
    if (this.#fate.at === 'open') return this.resume();
    // Every receiver learns how the connection ended, and not before it has been set up.
    this.#untold = true;
    queueMicrotask(() => this.#tell());
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.stopReading();
  }

  resume(): void {
    // What is read while nobody listens would be lost.
    if (!this.paused || this.#receiver === undefined) return;
    this.paused = false;
    this.startReading();
  }

  protected get fate(): Fate['at'] {
    return this.#fate.at;
  }

  protected received(chunk: Buffer, ownership: Ownership): void {
    this.#receiver?.bytes(chunk, ownership);
  }

  protected meet(fate: Fate): void {
    this.#fate = fate;
    this.#untold = true;
    this.#tell();
  }

  #tell(): void {
    const receiver = this.#receiver;
    if (receiver === undefined || !this.#untold) return;
    this.#untold = false;
    if (this.#fate.at === 'ended') receiver.end();
    else if (this.#fate.at === 'failed') receiver.failed(this.#fate.error ?? closedEarly());
  }
}
