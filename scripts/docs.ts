/**
 * Writes the pages that are made from tables: docs/CONFIG.md, docs/ERRORS.md, docs/METRICS.md, docs/SETUP.md, docs/CAPACITY.md,
 * the boards for Grafana and the figures of README.md.
 *
 *   node scripts/docs.ts [--check]     --check only compares, and fails when a page is out of date
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { FAILURES } from '../src/contracts/failure.ts';
import { capacityPage } from './capacity-page.ts';
import { configPage } from './config-page.ts';
import { grafanaBoard } from './grafana-board.ts';
import { grafanaFleetBoard } from './grafana-fleet-board.ts';
import { metricsPage } from './metrics-page.ts';
import { GENERATED, table } from './page-parts.ts';
import { readmePage } from './readme-figures.ts';
import { setupPage } from './setup-page.ts';
import { ROOT } from './tools.ts';

const ERRORS_INTRO = `# What can fail, and what the client receives

${GENERATED}

Every refusal of ours carries \`Proxy-Status\` with an error type of RFC 9209, a request id, and one sentence. The failure is
the word that stands in the log. \`next-route\`: when several ways lead to the destination, the next one is tried.

Many clients show nothing but the status line of a failed CONNECT, so its reason phrase names the failure and the host:
\`502 dns_failed: no-such.example does not exist\`. It has at most 120 bytes of visible ASCII, and neither an address that a
name has nor anything of upstream proxies and PAC files.

A client of SOCKS5 receives the reply code in the column "SOCKS5" (RFC 1928 §6), one of SOCKS4 91 for all of them. A wrong
user name or password is answered where it is sent (RFC 1929: status 1).
`;

/** Every page, by its path. */
export function pages(): Readonly<Record<string, string>> {
  return {
    'docs/CONFIG.md': configPage(),
    'docs/ERRORS.md': errorsPage(),
    'docs/SETUP.md': setupPage(),
    'docs/METRICS.md': metricsPage(),
    'docs/CAPACITY.md': capacityPage(),
    'deploy/grafana/viaduct.json': grafanaBoard(),
    'deploy/grafana/viaduct-fleet.json': grafanaFleetBoard(),
    'README.md': readmePage(),
  };
}

function errorsPage(): string {
  const rows = Object.entries(FAILURES).map(([code, { status, token, retry, clientMessage, socks5 }]) => [
    `\`${code}\``,
    String(status),
    `\`${token}\``,
    String(socks5),
    retry,
    clientMessage,
  ]);
  return [ERRORS_INTRO, table(['failure', 'status', 'error type', 'SOCKS5', 'retry', 'sentence'], rows), ''].join('\n');
}

/** The exit code: 0 when every page is what it should be. */
function main(mode: 'check' | 'write'): number {
  let stale = 0;
  for (const [path, text] of Object.entries(pages())) {
    if (mode === 'write') {
      mkdirSync(`${ROOT}docs`, { recursive: true });
      writeFileSync(ROOT + path, text);
    } else if (readOrEmpty(ROOT + path) !== text) {
      process.stderr.write(`${path} is out of date: npm run docs\n`);
      stale++;
    }
  }
  return stale === 0 ? 0 : 1;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

if (import.meta.main) process.exitCode = main(process.argv.includes('--check') ? 'check' : 'write');
