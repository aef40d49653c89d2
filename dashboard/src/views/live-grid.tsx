import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import type { Row } from '../api/shape.ts';
import { ageMs, COLUMNS, type Column, clientText, routeText, stateText, targetText } from '../model/columns.ts';
import { hidden, sort } from '../model/preferences.ts';
import { nextSort } from '../model/select.ts';
import { proxyNowMs } from '../model/state.ts';
import { bytesText, durationText, rateText } from '../model/units.ts';
import { goTo, linkToRequest } from '../ui/place.ts';
import { reveal, useWindow } from '../ui/virtual-list.ts';
import { endOne } from './ending.ts';

const ROW_PX = 28;
const CARD_PX = 76;

const WIDTHS: Readonly<Record<string, string>> = {
  target: 'minmax(150px, 2.2fr)',
  state: '92px',
  client: 'minmax(92px, 1.4fr)',
  user: 'minmax(50px, 0.6fr)',
  route: 'minmax(76px, 1.6fr)',
  rule: 'minmax(70px, 0.8fr)',
  heldBy: 'minmax(76px, 0.8fr)',
  age: '84px',
  up: '76px',
  down: '76px',
  rateUp: '90px',
  rateDown: '90px',
};

interface Props {
  readonly rows: readonly Row[];
  readonly form: 'table' | 'cards';
  /** Whether there is nothing even without a filter. */
  readonly isEmpty: boolean;
}

/**
 * The rows as a table or, where it is narrow, as cards. Only what can be seen is in the document.
 * An ARIA grid whose only stop of the tab key is the grid: arrows move `aria-activedescendant`, so cells take no focus.
 */
export function LiveGrid({ rows, form, isEmpty }: Props) {
  const holder = useRef<HTMLDivElement>(null);
  const selected = useSignal<string | undefined>(undefined);
  const rowPx = form === 'table' ? ROW_PX : CARD_PX;
  const headPx = form === 'table' ? ROW_PX : 0;
  const { first, end } = useWindow(holder, rowPx, rows.length);
  const columns = COLUMNS.filter(({ id }) => !hidden.value.includes(id));
  const widths = [...columns.map(({ id }) => WIDTHS[id]), '32px'].join(' ');
  const least = columns.reduce((sum, { id }) => sum + Number(/\d+/.exec(WIDTHS[id] ?? '')?.[0] ?? 0), 50);

  const move = (event: KeyboardEvent) => {
    if (event.target !== holder.current) return;
    const at = rows.findIndex(({ id }) => id === selected.value);
    const page = Math.max(1, Math.floor((holder.current?.clientHeight ?? 0) / rowPx) - 2);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: rows.length - 1,
    }[event.key];
    const row = rows[at];
    if (to !== undefined) {
      const next = Math.max(0, Math.min(rows.length - 1, to));
      selected.value = rows[next]?.id;
      if (holder.current !== null) reveal(holder.current, next, rowPx, headPx);
    } else if (event.key === 'Enter' && row !== undefined) goTo(linkToRequest(row.id));
    else if (event.key === 'Delete' && row !== undefined && row.state !== 'closed') void endOne(row);
    else return;
    event.preventDefault();
  };

  const visible = rows.slice(first, end);
  const isSelectedVisible = visible.some(({ id }) => id === selected.value);
  return (
    <div
      class={`grid ${form}`}
      ref={holder}
      role="grid"
      tabIndex={0}
      aria-label="Requests"
      aria-rowcount={rows.length + 1}
      aria-activedescendant={isSelectedVisible ? `row-${selected.value}` : undefined}
      onKeyDown={move}
      style={form === 'table' ? { '--columns': widths, '--columns-min': `${least}px` } : {}}
    >
      {form === 'table' && <Head columns={columns} />}
      <div class="grid-body" role="rowgroup" style={{ height: `${rows.length * rowPx}px` }}>
        {visible.map((row, at) => {
          const Form = form === 'table' ? TableRow : Card;
          return (
            <Form
              key={row.id}
              row={row}
              columns={columns}
              at={first + at}
              isSelected={row.id === selected.value}
              onSelect={() => {
                selected.value = row.id;
              }}
            />
          );
        })}
      </div>
      {rows.length === 0 && (
        <p class="empty">
          {isEmpty
            ? 'No request yet. Point a client at this proxy, and it appears here.'
            : 'No row matches the filter.'}
        </p>
      )}
    </div>
  );
}

function Head({ columns }: { readonly columns: readonly Column[] }) {
  const { by, order } = sort.value;
  return (
    <div class="grid-head" role="rowgroup">
      <div class="grid-row" role="row">
        {columns.map(({ id, title, kind }) => (
          <div key={id} class={kind} role="columnheader" aria-sort={id === by ? order : 'none'}>
            <button
              type="button"
              onClick={() => {
                sort.value = nextSort(sort.value, id);
              }}
            >
              {title}
              {id === by && (order === 'descending' ? ' ▼' : ' ▲')}
            </button>
          </div>
        ))}
        <div role="columnheader">
          <span class="hidden-text">End</span>
        </div>
      </div>
    </div>
  );
}

interface RowProps {
  readonly row: Row;
  readonly columns: readonly Column[];
  readonly at: number;
  readonly isSelected: boolean;
  readonly onSelect: () => void;
}

const classOf = (name: string, { row, isSelected }: RowProps): string =>
  `${name}${row.state === 'closed' ? ' closed' : ''}${isSelected ? ' selected' : ''}`;

function TableRow(props: RowProps) {
  const { row, columns, at, onSelect } = props;
  const now = proxyNowMs.value;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid moves the selection by keys.
    <div
      class={classOf('grid-row', props)}
      id={`row-${row.id}`}
      role="row"
      aria-rowindex={at + 2}
      aria-selected={props.isSelected ? 'true' : 'false'}
      style={{ top: `${at * ROW_PX}px` }}
      onClick={onSelect}
    >
      {columns.map((column) => (
        <Cell key={column.id} column={column} row={row} now={now} />
      ))}
      <div role="gridcell" class="end-cell">
        <EndButton row={row} />
      </div>
    </div>
  );
}

const TONES: Readonly<Record<string, string>> = { rateUp: 'rate-up', rateDown: 'rate-down', heldBy: 'warn' };

function Cell({ column, row, now }: { readonly column: Column; readonly row: Row; readonly now: number }) {
  const text = column.text(row, now);
  if (column.id === 'target')
    return (
      <div role="gridcell" title={text}>
        <a href={linkToRequest(row.id)} tabIndex={-1}>
          {text}
        </a>
      </div>
    );
  const tone = column.id === 'state' ? toneOfState(row) : row.state === 'closed' ? '' : (TONES[column.id] ?? '');
  const title = column.id === 'client' && row.clientName !== undefined ? row.client : text;
  return (
    <div role="gridcell" class={`${column.kind} ${tone}`} title={column.kind === 'text' ? title : undefined}>
      {text}
    </div>
  );
}

const toneOfState = (row: Row): string => {
  if (row.failure !== undefined) return 'bad';
  return row.heldBy !== undefined && row.state !== 'closed' ? 'warn' : '';
};

function EndButton({ row }: { readonly row: Row }) {
  if (row.state === 'closed') return null;
  return (
    <button
      type="button"
      class="end-button"
      tabIndex={-1}
      aria-label={`End ${targetText(row)}`}
      onClick={() => void endOne(row)}
    >
      ✕
    </button>
  );
}

function Card(props: RowProps) {
  const { row, at, onSelect } = props;
  const about = [clientText(row), row.user, routeText(row)].filter((part) => part !== undefined && part !== '');
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid moves the selection by keys.
    <div
      class={classOf('grid-card', props)}
      id={`row-${row.id}`}
      role="row"
      aria-rowindex={at + 2}
      style={{ top: `${at * CARD_PX}px` }}
      onClick={onSelect}
    >
      <div role="gridcell" class="card-title">
        <a class="cut" href={linkToRequest(row.id)}>
          {targetText(row)}
        </a>
        <span class="muted">{durationText(ageMs(row, proxyNowMs.value))}</span>
      </div>
      <div role="gridcell" class="cut muted">
        <span class={toneOfState(row)}>{stateText(row)}</span> · {about.join(' · ')}
      </div>
      <div role="gridcell" class="cut">
        {row.state !== 'closed' && (
          <>
            <span class="rate-down">↓ {rateText(row.rateDown)}</span>{' '}
            <span class="rate-up">↑ {rateText(row.rateUp)}</span>{' '}
          </>
        )}
        <span class="muted">{bytesText(row.bytesUp + row.bytesDown)} in all</span>
      </div>
      <div role="gridcell" class="end-cell">
        <EndButton row={row} />
      </div>
    </div>
  );
}
