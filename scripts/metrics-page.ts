import { METRICS, type MetricTerms } from '../src/admin/metrics-table.ts';
import { BOUNDS_MS } from '../src/observe/request-counter.ts';
import { GENERATED, table } from './page-parts.ts';

const INTRO = `# Metrics

${GENERATED}

\`/metrics\` on the admin address (localhost:3129 unless \`admin.listen\` says otherwise) is Prometheus text. On this machine it is
open; \`admin.metrics: token\` closes it, and where others can reach it, it needs the token (\`viaduct token\` prints it) in
\`Authorization: Bearer\`. No name of a user, a client or a destination is in it, and nothing that a client does adds a line.
With several workers it is one view of all; what one had counted stays in the sums when it is replaced.

[deploy/prometheus/](../deploy/prometheus/) has an example of a scrape, and alerts with a test for each;
[deploy/grafana/](../deploy/grafana/) has boards to import: one for a proxy, one that shows several instances as one ([FLEET.md](FLEET.md)).

    promtool check rules deploy/prometheus/viaduct.rules.yml
    promtool test rules deploy/prometheus/viaduct.rules.test.yml

\`viaduct_unaccounted\` compares what is open with the requests in progress: permits and the buckets that they hold, connections
to targets and upstream proxies, sockets, timers. Each of them is always 0; what stays above it for a quarter of a second was
forgotten by the code that should have given it back, which is a mistake to be reported.

Counting costs about 0.4 µs for each CONNECT (\`node bench/counting.ts\`), and a scrape is work only when it comes.
`;

/** docs/METRICS.md. */
export function metricsPage(): string {
  const all: readonly (readonly [string, MetricTerms])[] = Object.entries(METRICS);
  const rows = all.map(([name, { type, help, labels }]) => [
    `\`${name}\``,
    type,
    Object.entries(labels)
      .map(([label, meaning]) => `\`${label}\`: ${meaning}`)
      .join('; '),
    help,
  ]);
  const bounds = BOUNDS_MS.map((ms) => String(ms / 1000)).join(', ');
  const buckets = `The buckets of \`viaduct_step_seconds\` end at ${bounds} s. In the library these metrics are those of the program's process.`;
  return [INTRO, table(['metric', 'type', 'labels', 'what it is'], rows), '', buckets, ''].join('\n');
}
