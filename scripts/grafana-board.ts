import type { MetricName } from '../src/admin/metrics-table.ts';

/** A query of a panel: `of` are the metrics that it names. */
interface Query {
  readonly expr: string;
  readonly legend: string;
}

interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly queries: readonly Query[];
  readonly kind?: 'stat';
  readonly about?: string;
}

const HERE = '{instance=~"$instance"}';

/** The samples of the instances that are chosen above the board. */
const of = (name: MetricName, more = ''): string => `${name}${more === '' ? HERE : `{instance=~"$instance", ${more}}`}`;
const perSecond = (selected: string): string => `rate(${selected}[$__rate_interval])`;
const sumBy = (labels: string, expr: string): string => `sum by (${labels}) (${expr})`;
const quantile = (part: number): string =>
  `histogram_quantile(${part}, sum by (step, le) (rate(viaduct_step_seconds_bucket${HERE}[$__rate_interval])))`;

const ROWS: readonly (readonly [title: string, panels: readonly Panel[]])[] = [
  [
    'Traffic',
    [
      {
        title: 'Throughput',
        unit: 'Bps',
        queries: [{ expr: sumBy('direction', perSecond(of('viaduct_bytes_total'))), legend: '{{direction}}' }],
      },
      {
        title: 'Requests in progress',
        unit: 'short',
        queries: [{ expr: sumBy('kind', of('viaduct_open_requests')), legend: '{{kind}}' }],
      },
      {
        title: 'Requests that end',
        unit: 'reqps',
        queries: [
          { expr: sumBy('kind, outcome', perSecond(of('viaduct_requests_total'))), legend: '{{kind}} {{outcome}}' },
        ],
      },
      {
        title: 'Failures by reason',
        unit: 'reqps',
        about: 'docs/ERRORS.md explains the reasons.',
        queries: [
          {
            expr: `${sumBy('reason', perSecond(of('viaduct_request_failures_total')))} > 0`,
            legend: '{{reason}}',
          },
        ],
      },
      {
        title: 'Routes',
        unit: 'reqps',
        queries: [{ expr: sumBy('route', perSecond(of('viaduct_routes_total'))), legend: '{{route}}' }],
      },
    ],
  ],
  [
    'Time',
    [
      {
        title: 'Steps of a request, median',
        unit: 's',
        queries: [{ expr: quantile(0.5), legend: '{{step}}' }],
      },
      {
        title: 'Steps of a request, the slowest twentieth',
        unit: 's',
        queries: [{ expr: quantile(0.95), legend: '{{step}}' }],
      },
      {
        title: 'Event-loop delay',
        unit: 's',
        queries: [
          { expr: of('viaduct_event_loop_delay_seconds'), legend: 'mean {{instance}}' },
          { expr: of('viaduct_event_loop_delay_max_seconds'), legend: 'longest {{instance}}' },
        ],
      },
    ],
  ],
  [
    'Limits',
    [
      {
        title: 'Under bandwidth limits',
        unit: 'Bps',
        queries: [
          { expr: sumBy('limit', perSecond(of('viaduct_limit_bytes_total'))), legend: '{{limit}}' },
          { expr: sumBy('limit', of('viaduct_limit_rate_bytes_per_second')), legend: '{{limit}}: its rate' },
        ],
      },
      {
        title: 'Waiting for a limit',
        unit: 'short',
        queries: [{ expr: sumBy('limit', of('viaduct_limit_waiting')), legend: '{{limit}}' }],
      },
      {
        title: 'Refused by a limit',
        unit: 'reqps',
        queries: [{ expr: sumBy('limit', perSecond(of('viaduct_limit_refused_total'))), legend: '{{limit}}' }],
      },
    ],
  ],
  [
    'Ways',
    [
      {
        title: 'Upstream proxies',
        unit: 'short',
        queries: [{ expr: sumBy('state', of('viaduct_upstreams')), legend: '{{state}}' }],
      },
      {
        title: 'Age of the PAC',
        unit: 's',
        queries: [{ expr: of('viaduct_pac_age_seconds'), legend: '{{instance}}' }],
      },
      {
        title: 'Without a PAC',
        unit: 'short',
        kind: 'stat',
        queries: [{ expr: of('viaduct_pac_unreachable'), legend: '{{instance}}' }],
      },
    ],
  ],
  [
    'Processes',
    [
      {
        title: 'Belongs to nothing',
        unit: 'short',
        kind: 'stat',
        about: 'Always 0: anything else was forgotten when a request ended.',
        queries: [{ expr: sumBy('resource', of('viaduct_unaccounted')), legend: '{{resource}}' }],
      },
      {
        title: 'Version',
        unit: 'short',
        kind: 'stat',
        queries: [{ expr: of('viaduct_build_info'), legend: '{{version}}, {{relay}}' }],
      },
      {
        title: 'CPU',
        unit: 'percentunit',
        about: '100 % is one core.',
        queries: [{ expr: perSecond(of('viaduct_cpu_seconds_total')), legend: '{{instance}}' }],
      },
      {
        title: 'Memory',
        unit: 'bytes',
        queries: [
          { expr: of('viaduct_resident_memory_bytes'), legend: 'resident {{instance}}' },
          { expr: of('viaduct_heap_used_bytes'), legend: 'heap {{instance}}' },
        ],
      },
      {
        title: 'Sockets',
        unit: 'short',
        queries: [{ expr: sumBy('holder', of('viaduct_sockets')), legend: '{{holder}}' }],
      },
      {
        title: 'Tunnels by relay',
        unit: 'short',
        queries: [{ expr: sumBy('relay', of('viaduct_relay_tunnels')), legend: '{{relay}}' }],
      },
      {
        title: 'Files in use',
        unit: 'percentunit',
        queries: [{ expr: of('viaduct_open_files_ratio'), legend: '{{instance}}' }],
      },
    ],
  ],
];

const DATA_SOURCE = { type: 'prometheus', uid: '$datasource' };
/** A board is 24 wide. */
const COLUMNS = 24;
const PANEL_WIDTH = 8;
const PANEL_HEIGHT = 8;

/** deploy/grafana/viaduct.json, for Grafana 9 and later. */
export function grafanaBoard(): string {
  const panels: object[] = [];
  let y = 0;
  for (const [title, row] of ROWS) {
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
    uid: 'viaduct',
    title: 'Viaduct',
    description: 'A forward proxy: traffic, times, limits, ways and processes. Made by npm run docs.',
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
