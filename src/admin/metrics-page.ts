import { BOUNDS_MS, type Histogram } from '../observe/request-counter.ts';
import { METRICS, type MetricName } from './metrics-table.ts';

/** Prometheus text, version 0.0.4. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export type Labels = Readonly<Record<string, string>>;
export type Sample = readonly [labels: Labels, value: number];

/** Lines of the text, with HELP and TYPE once for each name. */
export class MetricsPage {
  readonly #lines: string[] = [];
  readonly #described = new Set<MetricName>();

  get text(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  /** Several samples of one metric; nothing where there is none. */
  add(name: MetricName, samples: readonly Sample[]): void {
    if (samples.length === 0) return;
    this.#describe(name);
    for (const [labels, value] of samples) this.#lines.push(`${name}${labelText(labels)} ${value}`);
  }

  /** Nothing where the value is not known. */
  addOne(name: MetricName, value: number | undefined): void {
    if (value !== undefined) this.add(name, [[{}, value]]);
  }

  /** One sample for each key. */
  addEach(name: MetricName, label: string, values: Readonly<Record<string, number>>): void {
    this.add(
      name,
      Object.entries(values).map(([key, value]) => [{ [label]: key }, value]),
    );
  }

  /** In seconds, cumulative, as Prometheus has it. */
  addHistogram(name: MetricName, labels: Labels, { buckets, sumMs, count }: Histogram): void {
    this.#describe(name);
    let sum = 0;
    for (const [at, bound] of [...BOUNDS_MS, Number.POSITIVE_INFINITY].entries()) {
      sum += buckets[at] ?? 0;
      const le = bound === Number.POSITIVE_INFINITY ? '+Inf' : String(bound / 1000);
      this.#lines.push(`${name}_bucket${labelText({ ...labels, le })} ${sum}`);
    }
    this.#lines.push(`${name}_sum${labelText(labels)} ${sumMs / 1000}`, `${name}_count${labelText(labels)} ${count}`);
  }

  #describe(name: MetricName): void {
    if (this.#described.has(name)) return;
    this.#described.add(name);
    const { help, type } = METRICS[name];
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  }
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

const escaped = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
