import { readFileSync } from 'node:fs';
import { ROOT } from './tools.ts';

const [BEGIN, END] = [
  '<!-- figures: `npm run docs` takes them from docs/BENCHMARKS.md and test/conformance -->',
  '<!-- /figures -->',
];

/** Rows of docs/BENCHMARKS.md that the first screen of README shows, and how it calls them. */
const ROWS: readonly (readonly [row: string, what: string, unit: string])[] = [
  ['download, 16 tunnels, CPU-s/GB', 'CPU for a gigabyte through 16 tunnels', 's'],
  ['CONNECT set-up, CPU µs each', 'CPU for one CONNECT', 'µs'],
  ['memory per idle tunnel, KiB', 'memory of an idle tunnel', 'KiB'],
];

/** README with the figures of the last `npm run bench`, so that the two pages never disagree. */
export function readmePage(): string {
  const readme = readFileSync(`${ROOT}README.md`, 'utf8');
  const [before, rest] = splitAt(readme, BEGIN);
  const [, after] = splitAt(rest, END);
  return `${before}${BEGIN}\n${figures()}\n${END}${after}`;
}

function splitAt(text: string, mark: string): readonly [before: string, after: string] {
  const at = text.indexOf(mark);
  if (at < 0) throw new Error(`README.md has no line ${mark}`);
  return [text.slice(0, at), text.slice(at + mark.length)];
}

function figures(): string {
  const benchmarks = tableIn(readFileSync(`${ROOT}docs/BENCHMARKS.md`, 'utf8'));
  const rows = ROWS.map(([row, what, unit]) => {
    const [ours, theirs] = ['viaduct', 'squid'].map((proxy) => benchmarks.get(row)?.get(proxy));
    if (ours === undefined || theirs === undefined) throw new Error(`docs/BENCHMARKS.md has no row ${row}`);
    const [, figure, ratio] = /^(\S+) \((\S+)\)$/.exec(ours) ?? [];
    return `| ${what} | ${figure} ${unit} | ${theirs} ${unit} | ${ratio} |`;
  });
  const cases = conformanceCases();
  return [
    '| beside Squid, with everything on that is on by default | Viaduct | Squid | ratio |',
    '|---|---:|---:|---:|',
    ...rows,
    `| conformance cases that pass (hostile bytes, PAC, NTLM, Digest) | ${cases} of ${cases} | | |`,
  ].join('\n');
}

/** The first table of a page: cells by row and column. */
export function tableIn(page: string): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const [head = [], , ...rows] = page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  return new Map(
    rows.map(([name = '', ...cells]) => [name, new Map(cells.map((cell, at) => [head[at + 1] ?? '', cell]))]),
  );
}

/** All of them are run by test/conformance, where one that fails fails the suite. */
function conformanceCases(): number {
  const read = (name: string): unknown => JSON.parse(readFileSync(`${ROOT}test/conformance/${name}.json`, 'utf8'));
  return ['hostile', 'hostile-more', 'pac', 'ntlm-vectors', 'digest-vectors'].reduce(
    (sum, name) => sum + countIn(read(name)),
    0,
  );
}

function countIn(data: unknown): number {
  if (Array.isArray(data)) return data.length;
  const cases = typeof data === 'object' && data !== null ? Object.values(data).filter(Array.isArray) : [];
  return cases.reduce((sum, list) => sum + list.length, 0);
}
