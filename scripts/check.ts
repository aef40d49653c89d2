/** `npm run check`: types, lint and format, floors, unused code, generated pages. All run, so that one call tells all. */
import { runScript, runTool } from './tools.ts';

const PARTS: readonly (readonly [name: string, run: () => number])[] = [
  ['types', () => runTool('tsc', '--noEmit')],
  ['lint and format', () => runTool('biome', 'check', '--error-on-warnings', '.')],
  ['floors', () => runScript('floors.ts')],
  ['generated pages', () => runScript('docs.ts', '--check')],
  ['lock file', () => runScript('lock.ts', '--check')],
  ['unused code', () => runTool('knip', '--no-progress')],
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
