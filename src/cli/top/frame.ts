import { printable } from '../../observe/escape.ts';
import { bytesText, durationText } from '../../observe/units.ts';
import type { LiveTable, Sort, TopRow, View } from './live-table.ts';

export interface FrameSize {
  readonly columns: number;
  readonly lines: number;
}

/** What the terminal shows besides the table. */
export interface FrameState extends View {
  /** Id of the row that the keys act on. */
  readonly selected: string | undefined;
  /** The last line: a question, a result, or the keys. */
  readonly prompt: string;
  readonly isPaused: boolean;
}

/** A line, and how it stands out. */
export interface FrameLine {
  readonly text: string;
  readonly style: 'plain' | 'head' | 'selected';
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly sort?: Sort;
  text(row: TopRow, nowMs: number): string;
}

const right = (text: string, width: number): string => text.padStart(width);

/** The target takes what is left; on a narrow terminal columns are left out from the last one on. */
const COLUMNS: readonly Column[] = [
  { title: 'RATE', width: 11, sort: 'rate', text: ({ rate }) => right(rate > 0 ? `${bytesText(rate)}/s` : '-', 11) },
  { title: 'DOWN', width: 8, sort: 'down', text: ({ bytesDown }) => right(bytesText(bytesDown), 8) },
  { title: 'UP', width: 8, sort: 'up', text: ({ bytesUp }) => right(bytesText(bytesUp), 8) },
  {
    title: 'AGE',
    width: 12,
    sort: 'age',
    text: ({ startedMs }, nowMs) => right(durationText(Math.max(0, nowMs - startedMs)), 12),
  },
  { title: 'STATE', width: 9, text: ({ state }) => state },
  { title: 'CLIENT', width: 20, text: ({ client, user }) => (user === '' ? client : `${user}@${client}`) },
  { title: 'ROUTE', width: 26, text: ({ route, heldBy }) => (heldBy === '' ? route : `held by ${heldBy}`) },
];
const TARGET_WIDTH_MIN = 24;

/** The whole screen, one entry for each line; nothing in it can drive the terminal. */
export function frame(table: LiveTable, state: FrameState, size: FrameSize, nowMs: number): FrameLine[] {
  const columns = columnsFor(size.columns);
  const targetWidth = size.columns - columns.reduce((sum, { width }) => sum + width + 1, 0);
  const line = (text: string, style: FrameLine['style'] = 'plain'): FrameLine => ({
    text: cell(text, size.columns),
    style,
  });
  const rows = table.rows(state);
  const space = Math.max(0, size.lines - 3);
  const at = rows.findIndex(({ id }) => id === state.selected);
  const first = Math.max(0, Math.min(rows.length - space, at - Math.floor(space / 2)));
  const body = rows.slice(first, first + space).map((row) => {
    const cells = columns.map((column) => cell(column.text(row, nowMs), column.width));
    const target = `${row.method} ${row.target}`.trim();
    return line([...cells, cell(target, targetWidth)].join(' '), row.id === state.selected ? 'selected' : 'plain');
  });
  const titles = [...columns.map((column) => titleOf(column, state)), targetTitle(state)];
  return [
    line(summary(table, state, rows.length)),
    line(titles.join(' '), 'head'),
    ...body,
    ...Array.from({ length: space - body.length }, () => line('')),
    line(state.prompt),
  ];
}

/** One table for a file or a pipe. */
export function plainTable(table: LiveTable, view: View, nowMs: number): string[] {
  const lines = frame(
    table,
    { ...view, selected: undefined, prompt: '', isPaused: false },
    { columns: 200, lines: table.size + 3 },
    nowMs,
  );
  return lines.slice(0, -1).map(({ text }) => text.trimEnd());
}

function columnsFor(width: number): readonly Column[] {
  let columns = COLUMNS;
  const needed = () => columns.reduce((sum, column) => sum + column.width + 1, TARGET_WIDTH_MIN);
  while (columns.length > 1 && needed() > width) columns = columns.slice(0, -1);
  return columns;
}

function titleOf({ title, width, sort }: Column, { sort: by, order }: View): string {
  const shown = sort === by ? `${title} ${order === 'first' ? 'v' : '^'}` : title;
  return sort === undefined ? shown.padEnd(width) : right(shown, width);
}

const targetTitle = ({ sort, order }: View): string =>
  sort === 'target' ? `TARGET ${order === 'first' ? 'v' : '^'}` : 'TARGET';

function summary({ totals, size }: LiveTable, { filter, isPaused }: FrameState, shown: number): string {
  const found = filter === '' ? '' : `   filter "${filter}": ${shown} of ${size}`;
  const rates = `down ${bytesText(totals.rateDown)}/s  up ${bytesText(totals.rateUp)}/s`;
  return `viaduct  ${totals.open} open  ${rates}  ${totals.requestsPerSecond.toFixed(1)} requests/s${found}${isPaused ? '   PAUSED' : ''}`;
}

/** Exactly as wide: what is too long ends in `~`. */
function cell(text: string, width: number): string {
  const shown = printable(text);
  return shown.length <= width ? shown.padEnd(Math.max(0, width)) : `${shown.slice(0, Math.max(0, width - 1))}~`;
}
