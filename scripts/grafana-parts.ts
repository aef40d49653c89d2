import type { MetricName } from '../src/admin/metrics-table.ts';

/** A query of a panel: `of` are the metrics that it names. */
export interface Query {
  readonly expr: string;
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly queries: readonly Query[];
  readonly kind?: 'stat';
  readonly about?: string;
}

export const HERE = '{instance=~"$instance"}';

/** The samples of the instances that are chosen above the board. */
export const of = (name: MetricName, more = ''): string =>
  `${name}${more === '' ? HERE : `{instance=~"$instance", ${more}}`}`;
export const perSecond = (selected: string): string => `rate(${selected}[$__rate_interval])`;
export const sumBy = (labels: string, expr: string): string => `sum by (${labels}) (${expr})`;
const DATA_SOURCE = { type: 'prometheus', uid: '$datasource' };
/** A board is 24 wide. */
const COLUMNS = 24;
const PANEL_WIDTH = 8;
const PANEL_HEIGHT = 8;

/** What a board is called, and its panels in rows. */
export interface Board {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly rows: readonly (readonly [title: string, panels: readonly Panel[]])[];
}

/** A file for Grafana 9 and later. */
export function boardText({ uid, title: name, description, rows }: Board): string {
  const panels: object[] = [];
  let y = 0;
  for (const [title, row] of rows) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { h: 1, w: COLUMNS, x: 0, y },
    });
    y += 1;
    for (const [at, panel] of row.entries()) {
      const [column, line] = [(at * PANEL_WIDTH) % COLUMNS, Math.floor((at * PANEL_WIDTH) / COLUMNS)];
      panels.push(panelOf(panel, panels.length + 1, column, y + line * PANEL_HEIGHT));
    }
    y += Math.ceil((row.length * PANEL_WIDTH) / COLUMNS) * PANEL_HEIGHT;
  }
  const board = {
    uid,
    title: name,
    description: `${description} Made by npm run docs.`,
    tags: ['proxy'],
    schemaVersion: 38,
    editable: true,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: {} },
        {
          name: 'instance',
          label: 'Proxy',
          type: 'query',
          datasource: DATA_SOURCE,
          query: { query: 'label_values(viaduct_build_info, instance)', refId: 'instance' },
          refresh: 2,
          includeAll: true,
          multi: true,
          current: { selected: true, text: ['All'], value: ['$__all'] },
        },
      ],
    },
    panels,
  };
  return `${JSON.stringify(board, undefined, 2)}\n`;
}

function panelOf({ title, unit, queries, kind, about }: Panel, id: number, x: number, y: number): object {
  const isCurve = kind === undefined;
  return {
    id,
    type: isCurve ? 'timeseries' : 'stat',
    title,
    ...(about !== undefined && { description: about }),
    datasource: DATA_SOURCE,
    gridPos: { h: PANEL_HEIGHT, w: PANEL_WIDTH, x, y },
    fieldConfig: { defaults: { unit, ...(isCurve && { min: 0 }) }, overrides: [] },
    options: isCurve
      ? { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } }
      : { reduceOptions: { calcs: ['lastNotNull'] }, textMode: 'value_and_name' },
    targets: queries.map(({ expr, legend }, at) => ({
      refId: String.fromCharCode(65 + at),
      datasource: DATA_SOURCE,
      expr,
      legendFormat: legend,
    })),
  };
}
