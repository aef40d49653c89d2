/** `npm run bench`: Viaduct and its peers side by side on this machine. See USAGE in options.ts. */
import { existsSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { build, isStale } from '../scripts/build.ts';
import { ROOT } from '../scripts/tools.ts';
import { installCommand, isInstalled } from '../test/support/requires.ts';
import { type Instance, startInstance } from './instance.ts';
import { buildLoad, startOrigin, whyNotBuilt } from './load.ts';
import { type Options, parseOptions, USAGE } from './options.ts';
import { pageOf } from './page.ts';
import type { Peer } from './peer.ts';
import { REFERENCE } from './peers/all.ts';
import { asText, tableOf } from './report.ts';
import { type Results, runRounds } from './rounds.ts';

const logLine = (line: string): void => void process.stderr.write(`${line}\n`);

/** Measures, prints the table, writes the page. Returns the results, for tests. */
export async function bench(options: Options): Promise<Results> {
  const why = whyNotBuilt();
  if (why !== undefined) throw new Error(why);
  buildLoad();
  using origin = await startOrigin();
  await using stack = new AsyncDisposableStack();
  const instances: Instance[] = [];
  for (const peer of options.peers.filter(isHere)) {
    try {
      instances.push(stack.use(await startInstance(peer)));
    } catch (error) {
      logLine(`${error instanceof Error ? error.message : error}; it is left out`);
    }
  }
  const results = await runRounds(instances, { ...options, origin, log: logLine });
  const peers = instances.map(({ peer }) => peer);
  const names = peers.map(({ name }) => name);
  const table = tableOf(options.measurements, names, results, REFERENCE);
  process.stdout.write(`${asText(table)}in brackets: ratio to ${REFERENCE}; ↑: more is better\n`);
  if (options.out !== undefined) writeFileSync(resolve(ROOT, options.out), pageOf(table, options, peers));
  return results;
}

function isHere(peer: Peer): boolean {
  const absent = peer.needs
    .filter((one) => !('file' in one ? existsSync(one.file) : isInstalled(one)))
    .map(({ name }) => name);
  if (absent.length > 0) logLine(`${peer.name} is not installed: ${installCommand(absent)}`);
  return absent.length === 0;
}

async function main(): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    return 2;
  }
  const failed = isStale() ? build() : 0;
  if (failed !== 0) return failed;
  await bench(options);
  return 0;
}

if (import.meta.main) process.exitCode = await main();
