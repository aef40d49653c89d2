/**
 * `npm test`: checks, builds and runs every test on our own Node.
 *
 *   npm test -- FILE…        only these test files, without the checks
 *   npm run test:long        with the long forms (fuzzing, soak, 10,000 tunnels): VIADUCT_LONG=1
 *
 * With CI=true the Debian packages of test/lab/packages.txt are installed first, unit and wire tests run on the oldest and the
 * newest Node too, each end-to-end test on one of the two (in the long form on both), and a skipped test is a failure.
 */
import { existsSync, globSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { installCommand, isInstalled, labPackages } from '../test/support/requires.ts';
import { build, isStale } from './build.ts';
import { check } from './check.ts';
import { installLabPackages } from './lab-packages.ts';
import { compileForOldestNode, nodeOfMajor } from './other-nodes.ts';
import { runWatched } from './run-watched.ts';
import { ROOT } from './tools.ts';

const EVERYTHING = ['src/**/*.test.ts', 'test/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/**/*.test.ts'];
/** What the other Nodes run: our code, not the lab around it. End-to-end tests are most of the time of a run. */
const ON_EACH_NODE = ['src/**/*.test.ts', 'test/wire/**/*.test.ts'];
const ON_ONE_OTHER_NODE = ['test/end-to-end/**/*.test.ts'];

/** One test may take this long; without a bound a leaked socket would hang the whole run. */
const TEST_MS_MAX = 5 * 60_000;
const LONG_TEST_MS_MAX = 60 * 60_000;
/** Beyond the longest test: what holds a file up for longer is no test that runs. */
const SILENCE_MS_MAX = 7 * 60_000;

/** So many of the longest files are named, to see what a run waits for. */
const LONGEST_SHOWN = 12;

const inCi = process.env.CI === 'true';
const long = process.argv.includes('--long');
const chosen = process.argv.slice(2).filter((argument) => argument !== '--long');
const failures: string[] = [];

function step(name: string, code: number): boolean {
  if (code !== 0) failures.push(name);
  return code === 0;
}

/** Runs test files on one Node; a skip is reported at their end, and fails in CI; failures are reported at the end of all. */
async function runTests(title: string, node: string, cwd: string, files: readonly string[]): Promise<void> {
  const tally = `${ROOT}.cache/tally.tsv`;
  mkdirSync(`${ROOT}.cache`, { recursive: true });
  rmSync(tally, { force: true });
  process.stdout.write(`\n── ${title}: ${files.length} files\n`);
  if (files.length === 0) {
    failures.push(`${title}: no test file found`);
    return;
  }
  const testMsMax = long ? LONG_TEST_MS_MAX : TEST_MS_MAX;
  const code = await runWatched(
    node,
    [
      '--test',
      `--import=${pathToFileURL(`${ROOT}scripts/bound-test-file.ts`)}`,
      `--test-concurrency=${Math.max(2, availableParallelism())}`,
      `--test-timeout=${testMsMax}`,
      '--disable-warning=ExperimentalWarning',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${ROOT}scripts/tally.ts`,
      `--test-reporter-destination=${tally}`,
      ...files,
    ],
    {
      cwd,
      env: { ...process.env, ...(long ? { VIADUCT_LONG: '1' } : {}) },
      silenceMsMax: testMsMax + SILENCE_MS_MAX,
    },
  );
  step(title, code);
  const lines = existsSync(tally) ? readFileSync(tally, 'utf8').split('\n').filter(Boolean) : [];
  let skips = 0;
  const tookS: [file: string, seconds: number][] = [];
  for (const line of lines) {
    const [what, file = '', name, reason] = line.split('\t');
    if (what === 'took') {
      tookS.push([file.replace(ROOT, ''), Number(reason)]);
      continue;
    }
    const sentence = `${file.replace(ROOT, '')}: ${name}: ${reason}`;
    if (what === 'failed') {
      failures.push(`${title}: ${sentence}`);
    } else {
      skips += 1;
      process.stdout.write(`skipped: ${sentence}\n`);
    }
  }
  const longest = tookS.sort(([, a], [, b]) => b - a).slice(0, LONGEST_SHOWN);
  if (tookS.length > 1) {
    process.stdout.write(`The longest took ${longest.map(([file, s]) => `${file} ${s} s`).join(', ')}.\n`);
  }
  if (inCi && skips > 0) failures.push(`${title}: ${skips} skipped, and CI has everything they need`);
}

const find = (patterns: readonly string[], cwd: string): string[] => globSync(patterns, { cwd }).sort();

/** By its name: another file must not move it to another Node. */
const numberOf = (name: string): number => [...name].reduce((sum, letter) => sum + (letter.codePointAt(0) ?? 0), 0);

/** The test files that the other Node with this number runs. */
function portable(extension: 'js' | 'ts', cwd: string, ofOthers: 0 | 1): readonly string[] {
  const found = (patterns: readonly string[]) =>
    find(
      patterns.map((pattern) => pattern.replace(/ts$/, extension)),
      cwd,
    );
  const isOurs = (file: string) => long || numberOf(basename(file, `.${extension}`)) % 2 === ofOthers;
  return [...found(ON_EACH_NODE), ...found(ON_ONE_OTHER_NODE).filter(isOurs)];
}

if (chosen.length > 0) {
  if (isStale()) step('build', build());
  await runTests('chosen tests', process.execPath, ROOT, chosen);
} else {
  step('check', check());
  if (step('build', build())) {
    if (inCi) step('lab packages', installLabPackages());
    await runTests(`Node ${process.versions.node}`, process.execPath, ROOT, find(EVERYTHING, ROOT));
    if (inCi) {
      const compiled = compileForOldestNode();
      await runTests('Node 22, compiled', nodeOfMajor(22), compiled, portable('js', compiled, 0));
      await runTests('Node 26', nodeOfMajor(26), ROOT, portable('ts', ROOT, 1));
    }
    const absent = labPackages().filter((one) => !isInstalled(one));
    if (absent.length > 0) {
      process.stdout.write(`To run what was skipped: ${installCommand(absent.map(({ name }) => name))}\n`);
    }
  }
}
for (const failure of failures) process.stderr.write(`failed: ${failure}\n`);
process.exitCode = failures.length === 0 ? 0 : 1;
