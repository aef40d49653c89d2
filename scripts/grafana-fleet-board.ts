import { type Board, boardText, HERE, of, perSecond, sumBy } from './grafana-parts.ts';

const TUNNELS = of('viaduct_open_requests', 'kind="tunnel"');
const byInstance = (expr: string): string => sumBy('instance', expr);

const ROWS: Board['rows'] = [
  [
    'The fleet as one',
    [
      {
        title: 'Instances',
        unit: 'short',
        kind: 'stat',
        about: 'Draining ones still serve what is open, and take nothing new.',
        queries: [
          { expr: `sum(up${HERE})`, legend: 'answer' },
          { expr: `sum(up${HERE} == bool 0)`, legend: 'do not answer' },
          { expr: `sum(${of('viaduct_draining')})`, legend: 'draining' },
        ],
      },
      {
        title: 'Open tunnels',
        unit: 'short',
        queries: [{ expr: `sum(${TUNNELS})`, legend: 'all instances' }],
      },
      {
        title: 'Throughput',
        unit: 'Bps',
        queries: [{ expr: sumBy('direction', perSecond(of('viaduct_bytes_total'))), legend: '{{direction}}' }],
      },
      {
        title: 'Requests that end',
        unit: 'reqps',
        queries: [{ expr: sumBy('outcome', perSecond(of('viaduct_requests_total'))), legend: '{{outcome}}' }],
      },
      {
        title: 'Failures by reason',
        unit: 'reqps',
        about:
          'docs/ERRORS.md explains the reasons. "draining" and "shutdown": an instance was stopped under its clients.',
        queries: [
          { expr: `${sumBy('reason', perSecond(of('viaduct_request_failures_total')))} > 0`, legend: '{{reason}}' },
        ],
      },
      {
        title: 'Time to connect, the slowest twentieth',
        unit: 's',
        queries: [
          {
            expr: `histogram_quantile(0.95, sum by (le) (rate(viaduct_step_seconds_bucket{instance=~"$instance", step="connect"}[$__rate_interval])))`,
            legend: 'all instances',
          },
        ],
      },
    ],
  ],
  [
    'How evenly',
    [
      {
        title: 'Tunnels of each instance',
        unit: 'short',
        queries: [{ expr: byInstance(TUNNELS), legend: '{{instance}}' }],
      },
      {
        title: 'Throughput of each instance',
        unit: 'Bps',
        queries: [{ expr: byInstance(perSecond(of('viaduct_bytes_total'))), legend: '{{instance}}' }],
      },
      {
        title: 'The fullest instance beside the mean',
        unit: 'percentunit',
        about:
          '100 %: all have as many tunnels. After a restart the new instance has fewer until tunnels end elsewhere.',
        queries: [
          { expr: `max(${byInstance(TUNNELS)}) / (avg(${byInstance(TUNNELS)}) > 0)`, legend: 'fullest / mean' },
        ],
      },
      {
        title: 'CPU of each instance',
        unit: 'percentunit',
        about: '100 % is one core.',
        queries: [{ expr: byInstance(perSecond(of('viaduct_cpu_seconds_total'))), legend: '{{instance}}' }],
      },
      {
        title: 'Longest event-loop delay',
        unit: 's',
        queries: [{ expr: of('viaduct_event_loop_delay_max_seconds'), legend: '{{instance}}' }],
      },
      {
        title: 'Files in use',
        unit: 'percentunit',
        about: 'docs/CAPACITY.md says what runs out first.',
        queries: [{ expr: of('viaduct_open_files_ratio'), legend: '{{instance}}' }],
      },
    ],
  ],
  [
    'Limits of all instances together',
    [
      {
        title: 'Under bandwidth limits',
        unit: 'Bps',
        about: 'With limits.store the sum of all instances stays at the rate; without it each has the rate by itself.',
        queries: [
          { expr: sumBy('limit', perSecond(of('viaduct_limit_bytes_total'))), legend: '{{limit}}' },
          {
            expr: `max by (limit) (${of('viaduct_limit_rate_bytes_per_second')})`,
            legend: '{{limit}}: its rate',
          },
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
    'Restarts',
    [
      {
        title: 'Age of each instance',
        unit: 's',
        queries: [{ expr: `time() - ${of('process_start_time_seconds')}`, legend: '{{instance}}' }],
      },
      {
        title: 'Draining',
        unit: 'short',
        queries: [{ expr: of('viaduct_draining'), legend: '{{instance}}' }],
      },
      {
        title: 'Versions',
        unit: 'short',
        kind: 'stat',
        about: 'More than one while a new version is rolled out.',
        queries: [{ expr: sumBy('version', of('viaduct_build_info')), legend: '{{version}}' }],
      },
    ],
  ],
];

/** deploy/grafana/viaduct-fleet.json. */
export const grafanaFleetBoard = (): string =>
  boardText({
    uid: 'viaduct-fleet',
    title: 'Viaduct fleet',
    description: 'Several instances of Viaduct behind a load balancer, as one.',
    rows: ROWS,
  });
