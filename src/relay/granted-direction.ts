import type { Gate } from '../contracts/stages.ts';
import { GRANT_BYTES_MAX } from '../native/abi.ts';
import type { Direction, NativeThread } from '../native/relay-thread.ts';

/** What happens to a tunnel by the answers of its gate. */
export interface GrantedTunnel {
  /** The gate grants nothing more, for good. */
  onForbidden(): void;
}

/**
 * One direction of a tunnel that the thread moves and that limits apply to: the grant path, which is the one way of bytes
 * past limits outside of JavaScript.
 *
 * 1. The thread holds a budget for each direction that is limited, 0 at first. It spends the budget on bytes when it reads
 *    them, and at 0 it reads nothing more. An end, a reset and a failure need no budget.
 * 2. When bytes wait and the budget is 0 it says how many do (`wants`), once, and waits for an answer. Where bulk data passes
 *    it asks for more than have come, since more will have by then; and once its grants are used up the next one is taken ahead,
 *    and comes without a question.
 * 3. The answer is what the gate gives for so many bytes: the gate decides when and how many, by every limit on the path,
 *    with its fairness, background and quotas.
 *    Where no next one is granted, the tunnel has what was granted before: the thread spends it, and then asks.
 * 4. A budget that stays unused for a moment is returned (`returns`), and so is what has not passed when the tunnel ends: the
 *    gate gets it back, for others.
 * 5. A gate that is idle by then ends the limit (`unlimit…`); a limit that comes while the tunnel is open begins one (`limit…`).
 *    What passes until the thread has heard of it is what would have passed a moment earlier.
 */
export class GrantedDirection {
  readonly direction: Direction;
  readonly #gate: Gate;
  readonly #thread: NativeThread;
  readonly #tunnel: GrantedTunnel;
  /** Of the tunnel; `undefined` once it is over. */
  #slot: number | undefined;
  /** Bytes that may have passed in this direction: what had when the limit came, and what was granted since. */
  #allowed: number;
  /** The gate has not answered yet. */
  isHeld = false;

  constructor(direction: Direction, gate: Gate, thread: NativeThread, tunnel: GrantedTunnel) {
    this.direction = direction;
    this.#gate = gate;
    this.#thread = thread;
    this.#tunnel = tunnel;
    this.#allowed = 0;
  }

  /** The tunnel is on the thread, and this direction is limited there, after so many bytes. */
  begin(slot: number, moved: number): void {
    this.#slot = slot;
    this.#allowed = moved;
  }

  /** So many bytes wait. False: no limit applies any more, and this direction is no longer needed. */
  wants(bytes: number): boolean {
    if (this.#slot === undefined || this.isHeld) return true;
    if (this.#gate.isIdle === true) return false;
    const granted = this.#take(bytes, 'asked');
    if (granted !== undefined) this.#grant(granted, bytes);
    return true;
  }

  /** So many granted bytes were not needed. */
  returns(bytes: number): void {
    this.#allowed -= bytes;
    this.#gate.refund(bytes);
  }

  /** The tunnel is over, or the limit is; so many bytes have passed in all. */
  end(moved: number): void {
    if (this.#slot === undefined) return;
    this.#slot = undefined;
    const unused = this.#allowed - moved;
    if (unused > 0) this.#gate.refund(unused);
  }

  /** `undefined`: the answer comes later, and is passed on then. `ahead`: the tunnel still has bytes that were granted before. */
  #take(bytes: number, when: 'asked' | 'ahead'): number | undefined {
    const { aheadBytesMax = GRANT_BYTES_MAX } = this.#gate;
    const granted = this.#gate.take(Math.min(bytes, GRANT_BYTES_MAX, aheadBytesMax));
    if (typeof granted === 'number') return granted;
    this.isHeld = true;
    void granted.then((later) => {
      this.isHeld = false;
      if (later === 0 && when === 'ahead') this.#endAhead();
      else this.#grant(later, bytes);
    });
    return undefined;
  }

  #grant(granted: number, wanted: number): void {
    if (this.#slot === undefined) return this.#gate.refund(granted);
    if (granted === 0) return this.#tunnel.onForbidden();
    const isUsedUp = this.#allowed - this.#moved() < granted;
    // Bulk data that has used its grants will use the next one: taken now, it needs no question.
    // Where there is none, the question that comes behind these bytes ends the tunnel.
    const next = wanted >= GRANT_BYTES_MAX && isUsedUp ? this.#take(wanted, 'ahead') : 0;
    const bytes = granted + (next ?? 0);
    this.#allowed += bytes;
    this.#thread.grant(this.#slot, this.direction, bytes, next === undefined ? 'comes' : 'asked');
  }

  /** Nothing is granted ahead, for now or for good: the answer to the question behind the budget says which. */
  #endAhead(): void {
    if (this.#slot !== undefined) this.#thread.grant(this.#slot, this.direction, 0, 'asked');
  }

  #moved(): number {
    if (this.#slot === undefined) return 0;
    return this.direction === 'up' ? this.#thread.movedUp(this.#slot) : this.#thread.movedDown(this.#slot);
  }
}
