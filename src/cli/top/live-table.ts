/** A request as the table has it; what the API leaves out is empty or 0. */
export interface TopRow {
  readonly id: string;
  readonly target: string;
  readonly method: string;
  readonly client: string;
  readonly user: string;
  readonly route: string;
  readonly state: string;
  readonly heldBy: string;
  readonly startedMs: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly rate: number;
}

export const SORTS = ['rate', 'down', 'up', 'age', 'target'] as const;
export type Sort = (typeof SORTS)[number];

/** What is shown, and in which order. */
export interface View {
  readonly sort: Sort;
  readonly order: 'first' | 'reversed';
  /** In lower case; rows that hold it in any column. */
  readonly filter: string;
}

export interface Totals {
  readonly open: number;
  readonly rateUp: number;
  readonly rateDown: number;
  readonly requestsPerSecond: number;
}

/** More rows than any terminal shows; the API sends what is open, and a proxy has at most 32,768 connections. */
const ROWS_MAX = 65_536;

/** The requests in progress, from a snapshot and the changes behind it. */
export class LiveTable {
  readonly #rows = new Map<string, TopRow>();
  totals: Totals = { open: 0, rateUp: 0, rateDown: 0, requestsPerSecond: 0 };

  get size(): number {
    return this.#rows.size;
  }

  /** Takes an event of `/api/events`; others than `snapshot` and `change` change nothing. */
  apply(name: string, data: unknown): void {
    if (name !== 'snapshot' && name !== 'change') return;
    if (name === 'snapshot') this.#rows.clear();
    for (const row of listIn(data, 'tunnels').map(rowOf)) {
      if (row !== undefined && this.#rows.size < ROWS_MAX) this.#rows.set(row.id, row);
    }
    for (const closed of listIn(data, 'closed')) this.#rows.delete(textIn(closed, 'id'));
    const counters = fieldIn(data, 'counters');
    this.totals = {
      open: numberIn(counters, 'open'),
      rateUp: numberIn(counters, 'rateUp'),
      rateDown: numberIn(counters, 'rateDown'),
      requestsPerSecond: numberIn(counters, 'requestsPerSecond'),
    };
  }

  /** As the view has them: numbers from the largest down, targets by the alphabet; the id decides between equals. */
  rows({ sort, order, filter }: View): TopRow[] {
    const shown = [...this.#rows.values()].filter((row) => filter === '' || searchText(row).includes(filter));
    const compare = COMPARE[sort];
    const sign = order === 'first' ? 1 : -1;
    return shown.sort((one, other) => sign * compare(one, other) || (one.id < other.id ? -1 : 1));
  }
}

const COMPARE: Readonly<Record<Sort, (one: TopRow, other: TopRow) => number>> = {
  rate: (one, other) => other.rate - one.rate,
  down: (one, other) => other.bytesDown - one.bytesDown,
  up: (one, other) => other.bytesUp - one.bytesUp,
  age: (one, other) => one.startedMs - other.startedMs,
  target: (one, other) => (one.target < other.target ? -1 : Number(one.target > other.target)),
};

const searchText = ({ target, method, client, user, route, state, heldBy }: TopRow): string =>
  [target, method, client, user, route, state, heldBy].join(' ').toLowerCase();

function rowOf(value: unknown): TopRow | undefined {
  const id = textIn(value, 'id');
  if (id === '') return undefined;
  return {
    id,
    target: textIn(value, 'url') || textIn(value, 'target'),
    method: textIn(value, 'method'),
    client: textIn(value, 'clientName') || textIn(value, 'client'),
    user: textIn(value, 'user'),
    route: textIn(value, 'route'),
    state: textIn(value, 'state'),
    heldBy: textIn(value, 'heldBy'),
    startedMs: Date.parse(textIn(value, 'startedAt')) || 0,
    bytesUp: numberIn(value, 'bytesUp'),
    bytesDown: numberIn(value, 'bytesDown'),
    rate: numberIn(value, 'rateUp') + numberIn(value, 'rateDown'),
  };
}

/** The server may be of another version: what is missing or of another kind counts as nothing. */
function fieldIn(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).find(([key]) => key === name)?.[1]
    : undefined;
}
function textIn(value: unknown, name: string): string {
  const field = fieldIn(value, name);
  return typeof field === 'string' ? field : '';
}
function numberIn(value: unknown, name: string): number {
  const field = fieldIn(value, name);
  return typeof field === 'number' && Number.isFinite(field) ? field : 0;
}
function listIn(value: unknown, name: string): readonly unknown[] {
  const field = fieldIn(value, name);
  return Array.isArray(field) ? field : [];
}
