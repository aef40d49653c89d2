import { signal } from '@preact/signals';
import type { ColumnId } from '../model/columns.ts';
import type { Shown } from '../model/select.ts';

/** Where the reader is within the page: `#/live?filter=x`, `#/request/ID`. */
interface Place {
  readonly view: string;
  readonly argument: string;
  readonly query: URLSearchParams;
}

function placeOf(hash: string): Place {
  // What is no place may be a one-time code, which the session takes out of the address.
  const [path = '', query = ''] = hash.startsWith('#/') ? hash.slice('#/'.length).split('?') : [];
  const [view = '', ...rest] = path.split('/');
  return { view: view || 'now', argument: decode(rest.join('/')), query: new URLSearchParams(query) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const place = signal<Place>(placeOf(location.hash));

addEventListener('hashchange', () => {
  place.value = placeOf(location.hash);
});

export const linkToRequest = (id: string): string => `#/request/${encodeURIComponent(id)}`;

/** The live table with what is behind a number: its filter, which rows, and the column to sort by. */
export const linkToRows = (filter: string, shown: Shown, sortBy: ColumnId = 'rateDown'): string =>
  `#/live?${new URLSearchParams({ filter, shown, sort: sortBy })}`;

export function goTo(view: string): void {
  location.hash = view.startsWith('#') ? view : `#/${view}`;
}
