import { type Clock, systemClock } from '../util/clock.ts';
import { type SlotItem, SlotList } from '../util/slot-list.ts';

/** Probes start after a minute of silence, so that a peer that vanished is noticed before the idle limit. */
export const KEEP_ALIVE_DELAY_MS = 60_000;
/** A peer that acknowledges nothing for so long of what was sent to it has vanished. */
export const SILENCE_MS_MAX = 60_000;
/** At the second scan of a socket keep-alive is enabled: before the first probe could be due, which needs a minute of silence. */
const SCAN_INTERVAL_MS = 20_000;

/** A wire whose peer may vanish. */
export interface KeepAliveTarget extends SlotItem {
  /** Whether a scan has seen it; false at first. */
  seenByScan: boolean;
  enableKeepAlive(delayMs: number): void;
  /** Called at each scan from then on: the connection ends when its peer has acknowledged nothing for so long. */
  boundSilence(afterMs: number, of: BoundSilence | undefined): void;
}

/** The same for a descriptor of Node's, which has no function for this; takes and returns whether the bound is in force. */
export type BoundSilence = (fd: number, afterMs: number, isBound: boolean) => boolean;

/**
 * Finds peers that have vanished: TCP keep-alive does while no bytes are sent, and the bound of the silence while bytes are
 * in flight. Most sockets are closed long before a probe could be due, and the four socket options and a timer would cost
 * each of them as much as a write; so only sockets that last get them.
 */
export class DeferredKeepAlive {
  readonly #clock: Clock;
  readonly #young = new SlotList<KeepAliveTarget>();
  readonly #old = new SlotList<KeepAliveTarget>();
  #isScanning = false;
  #descriptors: BoundSilence | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Wires that are open. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** Without it, for peers on Node's own sockets the kernel's usual time holds. */
  boundDescriptorsBy(descriptors: BoundSilence): void {
    this.#descriptors = descriptors;
  }

  /** An open wire; to be removed with `delete` when it closes. */
  add(wire: KeepAliveTarget): void {
    this.#young.add(wire);
    if (this.#isScanning) return;
    this.#isScanning = true;
    this.#clock.after(SCAN_INTERVAL_MS, this.#scan);
  }

  delete(wire: KeepAliveTarget): void {
    if (!this.#young.delete(wire)) this.#old.delete(wire);
  }

  readonly #scan = (): void => {
    for (const wire of this.#young) {
      if (!wire.seenByScan) wire.seenByScan = true;
      else if (this.#young.delete(wire)) {
        wire.enableKeepAlive(KEEP_ALIVE_DELAY_MS);
        this.#old.add(wire);
      }
    }
    for (const wire of this.#old) wire.boundSilence(SILENCE_MS_MAX, this.#descriptors);
    this.#isScanning = this.size > 0;
    if (this.#isScanning) this.#clock.after(SCAN_INTERVAL_MS, this.#scan);
  };
}

/** For all sockets of this process. */
export const keepAlive = new DeferredKeepAlive(systemClock);
