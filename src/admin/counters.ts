import type { RequestsSeen } from './controlled-proxy.ts';

/** Sums over all requests, as every event has them. */
export interface Counters {
  readonly at: string;
  readonly open: number;
  /** Bytes since the start. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Bytes per second. */
  readonly rateUp: number;
  readonly rateDown: number;
  readonly requestsPerSecond: number;
  /** Failed requests since the start, by reason. */
  readonly failures: Readonly<Record<string, number>>;
  readonly loopDelayMs: number;
  /** Requests that each limit holds back now. */
  readonly heldBy: Readonly<Record<string, number>>;
}

/** What must be known of a look to compute rates from the next one. */
interface Basis {
  readonly atMs: number;
  readonly up: number;
  readonly down: number;
  readonly begun: number;
}

/** Makes the counters of one look after the other. */
export class CounterSeries {
  #before: Basis | undefined;

  next({ live, counts, loopDelayMs }: RequestsSeen, nowMs: number, wallMs: number): Counters {
    let [up, down] = [counts.bytesUp, counts.bytesDown];
    const heldBy: Record<string, number> = {};
    for (const { record, heldBy: limit } of live) {
      up += record.bytesUp;
      down += record.bytesDown;
      if (limit !== undefined) heldBy[limit] = (heldBy[limit] ?? 0) + 1;
    }
    const ended = Object.values(counts.requests).reduce((sum, count) => sum + count, 0);
    const now: Basis = { atMs: nowMs, up, down, begun: ended + live.length };
    const before = this.#before ?? now;
    this.#before = now;
    const perSecond = (of: (basis: Basis) => number) =>
      now.atMs === before.atMs
        ? 0
        : Math.max(0, Math.round(((of(now) - of(before)) * 1000) / (now.atMs - before.atMs)));
    return {
      at: new Date(wallMs).toISOString(),
      open: live.length,
      bytesUp: up,
      bytesDown: down,
      rateUp: perSecond((basis) => basis.up),
      rateDown: perSecond((basis) => basis.down),
      requestsPerSecond: perSecond((basis) => basis.begun),
      failures: counts.failures,
      loopDelayMs: Math.round(loopDelayMs * 10) / 10,
      heldBy,
    };
  }
}
