import type { Measurement, Metric } from './measurement.ts';
import type { Results, Series } from './rounds.ts';

export interface Column {
  readonly peer: string;
  /** Value as text, and the ratio to the reference. */
  readonly cells: readonly string[];
}

export const median = (values: Series): number | undefined => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  const lower = sorted[sorted.length % 2 === 1 ? middle : middle - 1];
  return upper === undefined || lower === undefined ? undefined : (upper + lower) / 2;
};

/**
 * Median of the ratios, round by round: other load on the machine in one round affected both. `undefined` where either is
 * missing or the reference is 0.
 */
export function ratioOf(values: Series, reference: Series): number | undefined {
  const ratios = values.slice(0, reference.length).map((value, round) => value / (reference[round] ?? 0));
  return median(ratios.filter(Number.isFinite));
}

/** Rows of cells: a head, then one row for each metric. */
export function tableOf(
  measurements: readonly Measurement[],
  peers: readonly string[],
  results: Results,
  reference: string,
): readonly (readonly string[])[] {
  const rows = measurements.flatMap(({ metrics }) => metrics.map((metric) => rowOf(metric, peers, results, reference)));
  return [['', ...peers], ...rows];
}

function rowOf(metric: Metric, peers: readonly string[], results: Results, reference: string): string[] {
  const series = (peer: string): Series => results.get(peer)?.get(metric.name) ?? [];
  const cells = peers.map((peer) => {
    const value = median(series(peer));
    if (value === undefined) return '–';
    const ratio = peer === reference ? undefined : ratioOf(series(peer), series(reference));
    return `${value.toFixed(metric.digits)}${ratio === undefined ? '' : ` (${ratio.toFixed(2)})`}`;
  });
  return [`${metric.name}, ${metric.unit}${metric.better === 'higher' ? ' ↑' : ''}`, ...cells];
}

/** For a terminal: columns aligned. */
export function asText(table: readonly (readonly string[])[]): string {
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)));
  return table.map((row) => `${line(row).join('  ')}\n`).join('');
}

export function asMarkdown(table: readonly (readonly string[])[]): string {
  const [head = [], ...rows] = table;
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'));
  return [head, rule, ...rows].map((row) => `| ${row.join(' | ')} |\n`).join('');
}
