/**
 * Builds `dist/lib` (the library, file by file, with types) and `dist/cli.js` (the command, one file).
 * Both run on every Node that package.json names, so newer syntax such as `using` is written out for Node 22.
 */
import { chmodSync, globSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { buildSync } from 'esbuild';
import { ROOT, runTool } from './tools.ts';

const CLI = `${ROOT}dist/cli.js`;
const SOURCES = [
  'src/**/*.ts',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'scripts/build.ts',
];

/** Whether something that the build reads is newer than what it wrote. */
export function isStale(): boolean {
  const built = modifiedMs(CLI);
  return globSync(SOURCES, { cwd: ROOT, exclude: (path) => path.endsWith('.test.ts') }).some(
    (path) => modifiedMs(ROOT + path) > built,
  );
}

/** The exit code: 0 when everything was built. */
export function build(): number {
  rmSync(`${ROOT}dist/lib`, { recursive: true, force: true });
  const compiled = runTool('tsc', '-p', 'tsconfig.build.json');
  if (compiled !== 0) return compiled;
  bundleCli();
  return 0;
}

function bundleCli(): void {
  // Written beside and renamed into place: whoever starts the command meanwhile gets the old file or the new one.
  const fresh = `${CLI}.${process.pid}`;
  mkdirSync(`${ROOT}dist`, { recursive: true });
  buildSync({
    absWorkingDir: ROOT,
    entryPoints: ['src/cli/main.ts'],
    outfile: fresh,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    // A native addon is chosen per platform when it is loaded.
    external: ['@napi-rs/keyring', '@node-rs/bcrypt'],
    banner: {
      // CommonJS packages inside the bundle still call require() for Node's own modules.
      js: "#!/usr/bin/env node\nimport { createRequire as viaductRequire } from 'node:module';\nconst require = viaductRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
  chmodSync(fresh, 0o755);
  renameSync(fresh, CLI);
}

function modifiedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

if (import.meta.main) process.exitCode = build();
