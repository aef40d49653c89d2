/**
 * Builds `dist/lib` (the library, file by file, with types), `dist/cli.js` (the command, one file) and, where there is a
 * C++ compiler, the native relay in `dist/native`.
 * Both run on every Node that package.json names, so newer syntax such as `using` is written out for Node 22.
 */
import { chmodSync, copyFileSync, globSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { buildNative } from './native.ts';
import { ROOT, runTool } from './tools.ts';

const CLI = `${ROOT}dist/cli.js`;
const QUICKJS = fileURLToPath(import.meta.resolve('quickjs-wasi/quickjs.wasm'));
const SOURCES = [
  'src/**/*.ts',
  'native/*',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'scripts/build.ts',
  'scripts/native.ts',
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
  buildNative();
  bundleCli();
  return 0;
}

/** The command, the thread that it runs PAC scripts on, and what that thread runs them in, all beside each other. */
function bundleCli(): void {
  mkdirSync(`${ROOT}dist`, { recursive: true });
  place(`${ROOT}dist/quickjs.wasm`, (path) => copyFileSync(QUICKJS, path));
  place(`${ROOT}dist/pac-worker.js`, (path) => bundle('src/pac/pac-worker.ts', path, REQUIRE));
  place(CLI, (path) => {
    bundle('src/cli/main.ts', path, `#!/usr/bin/env node\n${REQUIRE}`);
    chmodSync(path, 0o755);
  });
}

/** Written beside and renamed into place: whoever starts the command meanwhile gets the old file or the new one. */
function place(path: string, write: (fresh: string) => void): void {
  const fresh = `${path}.${process.pid}`;
  write(fresh);
  renameSync(fresh, path);
}

/** CommonJS packages inside a bundle still call require() for Node's own modules. */
const REQUIRE =
  "import { createRequire as viaductRequire } from 'node:module';\nconst require = viaductRequire(import.meta.url);";

function bundle(entry: string, outfile: string, banner: string): void {
  buildSync({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    // A native addon is chosen per platform when it is loaded.
    external: ['@napi-rs/keyring', '@node-rs/bcrypt'],
    banner: { js: banner },
    logLevel: 'warning',
  });
}

function modifiedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

if (import.meta.main) process.exitCode = build();
