import { effect, type Signal, signal } from '@preact/signals';
import { COLUMNS, type ColumnId } from './columns.ts';
import type { Shown, Sort } from './select.ts';

export type Theme = 'system' | 'light' | 'dark';

/** A value that outlives the page. Storage may be full or forbidden: then it lives as long as the page. */
function remembered<T>(name: string, initial: T, isValid: (value: unknown) => boolean): Signal<T> {
  const key = `viaduct.${name}`;
  const value = signal(read(key, initial, isValid));
  effect(() => {
    const text = JSON.stringify(value.value);
    try {
      localStorage.setItem(key, text);
    } catch {
      // See above.
    }
  });
  return value;
}

function read<T>(key: string, initial: T, isValid: (value: unknown) => boolean): T {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(key) ?? 'null');
    return stored !== null && isValid(stored) ? (stored as T) : initial;
  } catch {
    return initial;
  }
}

const isColumn = (id: unknown): boolean => COLUMNS.some((column) => column.id === id);
const isSort = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  'by' in value &&
  isColumn(value.by) &&
  'order' in value &&
  (value.order === 'ascending' || value.order === 'descending');

export const theme = remembered<Theme>('theme', 'system', (value) => /^(system|light|dark)$/.test(String(value)));
export const filter = remembered<string>('filter', '', (value) => typeof value === 'string');
export const shown = remembered<Shown>('shown', 'all', (value) => /^(open|all|closed)$/.test(String(value)));
export const sort = remembered<Sort>('sort', { by: 'rateDown', order: 'descending' }, isSort);
export const hidden = remembered<readonly ColumnId[]>(
  'hidden',
  ['rule'],
  (value) => Array.isArray(value) && value.every(isColumn),
);
