import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../scripts/tools.ts';
import { MEASUREMENTS } from './measure/all.ts';
import type { Measurement, Size } from './measurement.ts';
import type { Peer } from './peer.ts';
import { PEERS } from './peers/all.ts';

export const USAGE: string = `npm run bench [-- --quick] [--only NAME,…] [--peers NAME,…] [--rounds N] [--out FILE]

  --quick        fewer rounds, bytes and measurements, viaduct and squid only: under 3 minutes
  --only NAMES   of ${MEASUREMENTS.map(({ name }) => name).join(', ')}
  --peers NAMES  of ${PEERS.map(({ name }) => name).join(', ')}
  --rounds N     1 to 20 (5, quick: 3)
  --out FILE     write the page there; a whole run writes docs/BENCHMARKS.md, others write nothing
  --size SIZE    full, quick or tiny; tiny only tests that it works
`;

const ROUNDS_MAX = 20;
const QUICK_PEERS = ['viaduct', 'squid'];
/** Measurements that take longer need a whole run, or `--only`. */
const QUICK_MEASUREMENTS = ['bulk', 'setup', 'plain', 'idle', 'echo'];
const PAGE = 'docs/BENCHMARKS.md';

export interface Options {
  readonly size: Size;
  readonly rounds: number;
  readonly measurements: readonly Measurement[];
  readonly peers: readonly Peer[];
  /** Where the page goes; relative to the checkout. */
  readonly out: string | undefined;
}

/** Throws an Error whose message is shown to the user, for unknown arguments. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      size: { type: 'string' },
      only: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      out: { type: 'string' },
    },
  });
  const size = sizeOf(values.size ?? (values.quick ? 'quick' : 'full'));
  const rounds = Number(values.rounds ?? { full: 5, quick: 3, tiny: 1 }[size]);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > ROUNDS_MAX) throw new Error(`--rounds is 1 to ${ROUNDS_MAX}`);
  const isWhole = size === 'full' && values.only === undefined && values.peers === undefined;
  return {
    size,
    rounds,
    measurements: choose(
      '--only',
      values.only ?? (size === 'quick' ? QUICK_MEASUREMENTS.join() : undefined),
      MEASUREMENTS,
    ),
    peers: choose('--peers', values.peers ?? (size === 'full' ? undefined : QUICK_PEERS.join()), PEERS),
    out: checkedOut(values.out) ?? (isWhole ? PAGE : undefined),
  };
}

/** Before a run of half an hour, and not behind it. */
function checkedOut(out: string | undefined): string | undefined {
  const folder = out === undefined ? ROOT : dirname(resolve(ROOT, out));
  if (!existsSync(folder)) throw new Error(`--out ${out}: there is no folder ${folder}`);
  return out;
}

function sizeOf(word: string): Size {
  if (word === 'full' || word === 'quick' || word === 'tiny') return word;
  throw new Error('--size is full, quick or tiny');
}

function choose<T extends { readonly name: string }>(
  flag: string,
  list: string | undefined,
  all: readonly T[],
): readonly T[] {
  if (list === undefined) return all;
  const names = list.split(',');
  for (const name of names) {
    if (!all.some((one) => one.name === name)) {
      throw new Error(`${flag} ${name}: there are ${all.map((one) => one.name).join(', ')}`);
    }
  }
  return all.filter(({ name }) => names.includes(name));
}
