import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import type { Options } from './options.ts';
import type { Peer } from './peer.ts';
import { REFERENCE } from './peers/all.ts';
import { asMarkdown } from './report.ts';

/** docs/BENCHMARKS.md: the table, and everything that a reader needs to check or repeat it. */
export function pageOf(
  table: readonly (readonly string[])[],
  { size, rounds, measurements }: Options,
  peers: readonly Peer[],
): string {
  return `# Benchmarks

<!-- Written by \`npm run bench\`. -->

Medians of ${rounds} rounds, in which the proxies take turns. In brackets: the ratio to ${REFERENCE}, as the median over the rounds;
below 1 is better, except where ↑ marks that more is better. CPU is user and system time of all processes of the proxy. Load,
proxy and origin share one machine over loopback, so compare the ratios rather than the figures; rates are limited by
the load generator too.

${asMarkdown(table)}
## What is measured

${measurements.map(({ how }) => `- ${how(size)}.\n`).join('')}
The load generator and the origin are \`bench/load.c\`: downloads are sent with \`sendfile\` and dropped with \`MSG_TRUNC\`, so
that they use little CPU beside the proxy. Before the first round every proxy gets a short load that does not count.

## Proxies

${asMarkdown([['proxy', 'version', 'settings'], ...peers.map((peer) => [peer.name, peer.version(), peer.settings])]).replaceAll('---:', '---')}
All protections that are on by default are on, and every proxy writes an access log to a file.

## Machine

${machine()}
`;
}

function machine(): string {
  const [first] = cpus();
  const system = /^PRETTY_NAME="?([^"\n]*)/m.exec(readOrEmpty('/etc/os-release'))?.[1] ?? type();
  const gib = (totalmem() / 2 ** 30).toFixed(0);
  return `${cpus().length} × ${first?.model.trim() || process.arch}, ${gib} GiB, ${system}, ${type()} ${release().replace(/[-_].*/, '')}, ${new Date().toISOString().slice(0, 10)}`;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
