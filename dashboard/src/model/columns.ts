import type { Row } from '../api/shape.ts';
import { bytesText, durationText, rateText } from './units.ts';

export type ColumnId =
  | 'target'
  | 'client'
  | 'user'
  | 'route'
  | 'rule'
  | 'heldBy'
  | 'state'
  | 'age'
  | 'up'
  | 'down'
  | 'rateUp'
  | 'rateDown';

export interface Column {
  readonly id: ColumnId;
  readonly title: string;
  readonly kind: 'text' | 'number';
  readonly text: (row: Row, nowMs: number) => string;
  /** What the column sorts by. */
  readonly key: (row: Row) => string | number;
}

const text = (id: ColumnId, title: string, of: (row: Row) => string): Column => ({
  id,
  title,
  kind: 'text',
  text: of,
  key: (row) => of(row).toLowerCase(),
});

const number = (
  id: ColumnId,
  title: string,
  key: (row: Row) => number,
  show: (value: number) => string,
  now?: (row: Row, nowMs: number) => number,
): Column => ({
  id,
  title,
  kind: 'number',
  key,
  text: (row, nowMs) => {
    const value = now === undefined ? key(row) : now(row, nowMs);
    return value === 0 && show === rateText ? '' : show(value);
  },
});

/** How long it has lived, or lived. A row that does not change is not sent again, so the page counts on. */
export const ageMs = (row: Row, nowMs: number): number =>
  row.state === 'closed' ? row.ageMs : Math.max(row.ageMs, nowMs - Date.parse(row.startedAt));

/** A request that is no valid HTTP may have none. */
export const targetText = (row: Row): string => row.target || row.url || '(no target)';

export const clientText = (row: Row): string => row.clientName ?? row.client;

/** The scheme of most proxies says nothing; any other is worth its place. */
export const routeText = (row: Row): string => (row.route ?? '').replaceAll('http://', '').replaceAll(' ', ' → ');

/** How it goes, in one word or two. */
export function stateText(row: Row): string {
  if (row.failure !== undefined) return row.failure;
  if (row.state !== 'closed') return row.heldBy === undefined ? row.state : 'held back';
  return row.end === undefined ? 'closed' : `closed: ${row.end}`;
}

export const COLUMNS: readonly Column[] = [
  text('target', 'Target', targetText),
  text('state', 'State', stateText),
  text('client', 'Client', clientText),
  text('user', 'User', (row) => row.user ?? ''),
  text('route', 'Route', routeText),
  text('rule', 'Rule', (row) => row.rule ?? ''),
  text('heldBy', 'Held by', (row) => row.heldBy ?? ''),
  // Oldest first when sorted descending, as for every number.
  number('age', 'Age', (row) => -Date.parse(row.startedAt), durationText, ageMs),
  number('up', 'Sent', (row) => row.bytesUp, bytesText),
  number('down', 'Received', (row) => row.bytesDown, bytesText),
  number('rateUp', '↑ Rate', (row) => row.rateUp, rateText),
  number('rateDown', '↓ Rate', (row) => row.rateDown, rateText),
];

export const columnOf = (id: string): Column | undefined => COLUMNS.find((column) => column.id === id);
