import type { Row } from '../api/shape.ts';
import { type ColumnId, columnOf, stateText } from './columns.ts';

export interface Sort {
  readonly by: ColumnId;
  readonly order: 'ascending' | 'descending';
}

export type Shown = 'open' | 'all' | 'closed';

/** The first click on a number sorts descending: people look for the one that is downloading. */
export function nextSort(current: Sort, by: ColumnId): Sort {
  if (current.by === by) return { by, order: current.order === 'ascending' ? 'descending' : 'ascending' };
  return { by, order: columnOf(by)?.kind === 'number' ? 'descending' : 'ascending' };
}

/** What the text filter searches; made once for each row that was received, and only when there is a filter. */
const searched = new WeakMap<Row, string>();

function searchText(row: Row): string {
  const known = searched.get(row);
  if (known !== undefined) return known;
  const made = [
    row.target,
    row.url,
    row.method,
    row.kind,
    row.client,
    row.clientName,
    row.user,
    row.route,
    row.rule,
    row.heldBy,
    row.limits?.join(' '),
    row.address,
    row.failure,
    row.detail,
    row.status,
    stateText(row),
    row.id,
  ]
    .filter((part) => part !== undefined)
    .join('\n')
    .toLowerCase();
  searched.set(row, made);
  return made;
}

/** A test of the words of a filter, all of which a row must hold; `/…/` is a regular expression; `-word` must be absent. */
export function matcherOf(filter: string): (row: Row) => boolean {
  const text = filter.trim();
  if (text === '') return () => true;
  const pattern = /^\/(.+)\/$/.exec(text)?.[1];
  if (pattern !== undefined) {
    const expression = compile(pattern);
    if (expression !== undefined) return (row) => expression.test(searchText(row));
  }
  const words = text.toLowerCase().split(/\s+/);
  return (row) => {
    const whole = searchText(row);
    return words.every((word) =>
      word.length > 1 && word.startsWith('-') ? !whole.includes(word.slice(1)) : whole.includes(word),
    );
  };
}

/** A half-typed expression is taken as text. */
function compile(pattern: string): RegExp | undefined {
  try {
    return new RegExp(pattern, 'i');
  } catch {
    return undefined;
  }
}

/** The rows that the filter lets through, in order. Each sort key is computed once. */
export function select(rows: readonly Row[], filter: string, sort: Sort): Row[] {
  const matches = matcherOf(filter);
  const key = columnOf(sort.by)?.key ?? (() => 0);
  const sign = sort.order === 'ascending' ? 1 : -1;
  return rows
    .filter(matches)
    .map((row) => ({ row, key: key(row) }))
    .sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : a.row.id < b.row.id ? -1 : 1))
    .map(({ row }) => row);
}
