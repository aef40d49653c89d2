import type { Duplex } from 'node:stream';
import type { Ownership, Receiver, Sink, Wire } from '../contracts/wire.ts';

/** For a receiver whose connection closed without an error and without an end. */
const closedEarly = (): Error => Object.assign(new Error('connection closed'), { code: 'ECONNRESET' });

/** How the reading of a wire ended. */
export type ReadState =
  | { readonly at: 'open' }
  | { readonly at: 'ended' }
  | { readonly at: 'failed'; readonly error: Error | undefined };

const OPEN: ReadState = { at: 'open' };

/** What all wires share: one receiver at a time, and how reading ended, which each receiver learns. */
export abstract class BaseWire implements Wire {
  abstract readonly stream: Sink;
  bytesRead = 0;
  protected paused = true;
  #receiver: Receiver | undefined;
  #readState: ReadState = OPEN;
  #hasPendingEnd = false;

  abstract readonly isQuiet: boolean | undefined;

  abstract reset(): void;
  abstract lend(buffer: Buffer | undefined): void;
  abstract toDuplex(): Duplex;
  protected abstract stopReading(): void;
  protected abstract startReading(): void;

  deliverTo(receiver: Receiver | undefined): void {
    this.#receiver = receiver;
    if (receiver === undefined) return this.pause();
    if (this.#readState.at === 'open') return this.resume();
    // Every receiver learns how the connection ended, and not before it has been set up.
    this.#hasPendingEnd = true;
    queueMicrotask(() => this.#deliverEnd());
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.stopReading();
  }

  resume(): void {
    // Without a receiver the bytes would be lost.
    if (!this.paused || this.#receiver === undefined) return;
    this.paused = false;
    this.startReading();
  }

  protected get readState(): ReadState['at'] {
    return this.#readState.at;
  }

  protected received(chunk: Buffer, ownership: Ownership): void {
    this.bytesRead += chunk.length;
    this.#receiver?.bytes(chunk, ownership);
  }

  protected finishReading(state: ReadState): void {
    this.#readState = state;
    this.#hasPendingEnd = true;
    this.#deliverEnd();
  }

  #deliverEnd(): void {
    const receiver = this.#receiver;
    if (receiver === undefined || !this.#hasPendingEnd) return;
    this.#hasPendingEnd = false;
    if (this.#readState.at === 'ended') receiver.end();
    else if (this.#readState.at === 'failed') receiver.failed(this.#readState.error ?? closedEarly());
  }
}
