import { type Board, boardText, HERE, of, perSecond, sumBy } from './grafana-parts.ts';

const quantile = (part: number): string =>
  `histogram_quantile(${part}, sum by (step, le) (rate(viaduct_step_seconds_bucket${HERE}[$__rate_interval])))`;

const ROWS: Board['rows'] = [
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

/** deploy/grafana/viaduct.json. */
export const grafanaBoard = (): string =>
  boardText({
    uid: 'viaduct',
    title: 'Viaduct',
    description: 'A forward proxy: traffic, times, limits, ways and processes.',
    rows: ROWS,
  });
