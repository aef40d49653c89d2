/** Points that a chart shows: five minutes at one a second. */
export const HISTORY_POINTS = 300;

export interface Point {
  readonly atSeconds: number;
  readonly up: number | null;
  readonly down: number | null;
}

/** The last points of the throughput, oldest first. A hole in time is drawn as a gap, not as a line across it. */
export class History {
  #points: Point[] = [];

  add(atMs: number, up: number, down: number): void {
    const atSeconds = atMs / 1_000;
    const last = this.#points.at(-1);
    if (last !== undefined && atSeconds <= last.atSeconds) return;
    if (last !== undefined && last.up !== null && atSeconds - last.atSeconds > GAP_SECONDS)
      this.#points.push({ atSeconds: last.atSeconds + 1, up: null, down: null });
    this.#points.push({ atSeconds, up, down });
    if (this.#points.length > HISTORY_POINTS + 1) this.#points = this.#points.slice(-HISTORY_POINTS);
  }

  get points(): readonly Point[] {
    return this.#points;
  }
}

const GAP_SECONDS = 5;
