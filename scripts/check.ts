/** `npm run check`: types, lint and format, layers, words, unused code, generated pages. All parts run, so that one call reports every problem. */
import { runScript, runTool } from './tools.ts';

const PARTS: readonly (readonly [name: string, run: () => number])[] = [
  ['types', () => runTool('tsc', '--noEmit')],
  ['types of the dashboard', () => runTool('tsc', '--noEmit', '-p', 'dashboard')],
  ['lint and format', () => runTool('biome', 'check', '--error-on-warnings', '.')],
  ['layers', () => runScript('layers.ts')],
  ['words', () => runScript('words.ts')],
  ['generated pages', () => runScript('docs.ts', '--check')],
  ['public types', () => runScript('api-report.ts', '--check')],
  ['constants of the addon', () => runScript('native-abi.ts', '--check')],
  ['lock file', () => runScript('lock.ts', '--check')],
  ['unused code', () => runTool('knip', '--no-progress')],
  ['code that only tests use', () => runTool('knip', '--production', '--no-progress')],
];

export function check(): number {
  const failed = PARTS.filter(([name, run]) => {
    const started = performance.now();
    const code = run();
    process.stdout.write(
      `${code === 0 ? '✔' : '✖'} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)\n`,
    );
    return code !== 0;
  });
  return failed.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = check();
