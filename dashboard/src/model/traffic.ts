import type { Change, Row, Snapshot } from '../api/shape.ts';

/** How many rows that have ended stay in the table. */
export const CLOSED_MAX = 500;

/** The rows that the page knows: live ones by id, and the last ones that ended, newest first. */
export class Traffic {
  #live = new Map<string, Row>();
  #closed: Row[] = [];

  start(snapshot: Pick<Snapshot, 'tunnels' | 'closed'>): void {
    this.#live = new Map(snapshot.tunnels.map((row) => [row.id, row]));
    const fresh = new Set(snapshot.closed.map(({ id }) => id));
    // After a reconnect, what has ended before stays; what was live and is gone has ended while no one looked.
    const kept = this.#closed.filter(({ id }) => !fresh.has(id) && !this.#live.has(id));
    this.#closed = [...newestFirst(snapshot.closed), ...kept].slice(0, CLOSED_MAX);
  }

  apply(change: Pick<Change, 'tunnels' | 'closed'>): void {
    for (const row of change.tunnels) this.#live.set(row.id, row);
    if (change.closed.length === 0) return;
    for (const { id } of change.closed) this.#live.delete(id);
    this.#closed = [...newestFirst(change.closed), ...this.#closed].slice(0, CLOSED_MAX);
  }

  get live(): Row[] {
    return [...this.#live.values()];
  }

  get closed(): readonly Row[] {
    return this.#closed;
  }

  find(id: string): Row | undefined {
    return this.#live.get(id) ?? this.#closed.find((row) => row.id === id);
  }
}

const endedMs = (row: Row): number => Date.parse(row.startedAt) + row.ageMs;

const newestFirst = (rows: readonly Row[]): Row[] =>
  rows.map((row): Row => ({ ...row, state: 'closed', rateUp: 0, rateDown: 0 })).sort((a, b) => endedMs(b) - endedMs(a));
