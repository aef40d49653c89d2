import { batch, useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import type { Row } from '../api/shape.ts';
import { COLUMNS, columnOf } from '../model/columns.ts';
import { csvOf, jsonOf } from '../model/export.ts';
import { filter, hidden, shown, sort } from '../model/preferences.ts';
import { select } from '../model/select.ts';
import { counters, rows } from '../model/state.ts';
import { countText } from '../model/units.ts';
import { saveFile } from '../ui/handing-over.ts';
import { isTyping, onKey } from '../ui/keys.ts';
import { Menu, Segments } from '../ui/panel.tsx';
import { place } from '../ui/place.ts';
import { useMedia } from '../ui/virtual-list.ts';
import { endAll } from './ending.ts';
import { LiveGrid } from './live-grid.tsx';

/** A link from a number brings the filter of the rows behind it. It is then the reader's own, to change and to keep. */
function takeQuery(query: URLSearchParams): void {
  const [wanted, which, by] = [query.get('filter'), query.get('shown'), columnOf(query.get('sort') ?? '')];
  if (wanted === null) return;
  batch(() => {
    filter.value = wanted;
    if (which === 'open' || which === 'all' || which === 'closed') shown.value = which;
    if (by !== undefined) sort.value = { by: by.id, order: 'descending' };
  });
  history.replaceState(null, '', '#/live');
}

/** Every live request and the last that ended. */
export function Live() {
  const frozen = useSignal<readonly Row[] | undefined>(undefined);
  const search = useRef<HTMLInputElement>(null);
  const isNarrow = useMedia('(max-width: 760px)');
  const current = rows.value;
  const mode = shown.value;
  const everything = useMemo(() => {
    if (mode === 'open') return current.live;
    return mode === 'closed' ? current.closed : [...current.live, ...current.closed];
  }, [current, mode]);
  const base = frozen.value ?? everything;
  const chosen = useMemo(() => select(base, filter.value, sort.value), [base, filter.value, sort.value]);
  const open = useMemo(() => chosen.filter(({ state }) => state !== 'closed'), [chosen]);
  const pause = () => {
    frozen.value = frozen.value === undefined ? everything : undefined;
  };
  // The rows that a pause keeps are those of the choice that it was made under.
  const choose = (value: typeof mode) => {
    frozen.value = undefined;
    shown.value = value;
  };
  const pauseKey = useRef(pause);
  pauseKey.current = pause;

  const { query } = place.value;
  useEffect(() => takeQuery(query), [query]);
  useEffect(
    () =>
      onKey((event) => {
        if (isTyping(event)) return false;
        if (event.key === '/') search.current?.focus();
        else if (event.key === 'p') pauseKey.current();
        else return false;
        return true;
      }),
    [],
  );

  return (
    <div class="live">
      <div class="toolbar">
        <input
          ref={search}
          type="search"
          placeholder="Filter: host, address, user, rule, /expression/, -without"
          aria-label="Filter"
          value={filter.value}
          onInput={(event) => {
            filter.value = event.currentTarget.value;
          }}
          onKeyDown={(event) => {
            if (event.key === 'Escape') event.currentTarget.blur();
          }}
        />
        <Segments
          label="Which rows"
          options={[
            ['open', 'Open'],
            ['all', 'All'],
            ['closed', 'Closed'],
          ]}
          value={mode}
          onChoose={choose}
        />
        <button type="button" aria-pressed={frozen.value === undefined ? 'false' : 'true'} onClick={pause}>
          {frozen.value === undefined ? 'Pause' : 'Resume'}
        </button>
        <button
          type="button"
          class="danger"
          disabled={open.length === 0}
          onClick={() => void endAll(open, filter.value)}
        >
          End {countText(open.length)} shown
        </button>
        {isNarrow ? <SortMenu /> : <ColumnMenu />}
        <Menu title="Export">
          <button type="button" onClick={() => saveFile('viaduct.csv', 'text/csv', csvOf(chosen))}>
            CSV
          </button>
          <button type="button" onClick={() => saveFile('viaduct.json', 'application/json', jsonOf(chosen))}>
            JSON
          </button>
        </Menu>
      </div>
      <p class="muted" aria-live="off">
        {countText(chosen.length)} of {countText(base.length)} rows
        {frozen.value !== undefined && `, paused; ${countText(counters.value?.open ?? 0)} are open now`}
      </p>
      <LiveGrid rows={chosen} form={isNarrow ? 'cards' : 'table'} isEmpty={base.length === 0} />
    </div>
  );
}

function ColumnMenu() {
  const off = new Set(hidden.value);
  return (
    <Menu title="Columns">
      {COLUMNS.filter(({ id }) => id !== 'target').map(({ id, title }) => (
        <label key={id}>
          <input
            type="checkbox"
            checked={!off.has(id)}
            onChange={() => {
              hidden.value = off.has(id) ? hidden.value.filter((one) => one !== id) : [...hidden.value, id];
            }}
          />{' '}
          {title}
        </label>
      ))}
    </Menu>
  );
}

/** Cards have no heads to click. */
function SortMenu() {
  return (
    <select
      aria-label="Sort by"
      value={`${sort.value.by} ${sort.value.order}`}
      onChange={(event) => {
        const [by, order] = event.currentTarget.value.split(' ');
        const column = COLUMNS.find(({ id }) => id === by);
        if (column !== undefined) sort.value = { by: column.id, order: order === 'ascending' ? order : 'descending' };
      }}
    >
      {COLUMNS.flatMap(({ id, title }) =>
        (['descending', 'ascending'] as const).map((order) => (
          <option key={`${id} ${order}`} value={`${id} ${order}`}>
            {title} {order === 'descending' ? '▼' : '▲'}
          </option>
        )),
      )}
    </select>
  );
}
