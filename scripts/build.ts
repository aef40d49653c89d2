/**
 * Builds `dist/lib` (the library in one file, and its types), `dist/cli.js` (what is run) with the command beside it, the page of the admin address in `dist/dashboard`, and, where there is a C++ compiler, the native relay in
 * `dist/native`.
 * Both run on every Node that package.json names, so newer syntax such as `using` is written out for Node 22.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, buildSync } from 'esbuild';
import { keepCompiled } from './compiled.ts';
import { entryText, manifestOfPackage, startText } from './entry.ts';
import { lateBuiltins, withoutBuiltinImports } from './late-builtins.ts';
import { latePackages } from './late-packages.ts';
import { lateZod } from './late-zod.ts';
import { buildNative } from './native.ts';
import { hasTool, ROOT, runTool } from './tools.ts';

const CLI = `${ROOT}dist/cli.js`;
const QUICKJS = fileURLToPath(import.meta.resolve('quickjs-wasi/quickjs.wasm'));
const SOURCES = [
  'src/**/*.ts',
  'native/*',
  'dashboard/*',
  'dashboard/src/**/*',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'scripts/build.ts',
  'scripts/compiled.ts',
  'scripts/entry.ts',
  'scripts/late-builtins.ts',
  'scripts/late-packages.ts',
  'scripts/late-zod.ts',
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
  const page = buildDashboard();
  if (page !== 0) return page;
  bundleLibrary();
  bundleCli();
  return 0;
}

/** Without vite, as after an install without development packages, everything but the page is built. */
function buildDashboard(): number {
  if (hasTool('vite')) return runTool('vite', 'build', '--config', 'dashboard/vite.config.ts');
  process.stderr.write('note: the dashboard is not built, since vite is not installed (npm ci)\n');
  return 0;
}

/**
 * The library in one file, with its threads beside it: Node takes three times as long for six hundred files. The types
 * stay as they are, file by file; packages stay packages, so that a program has each of them once.
 */
function bundleLibrary(): void {
  for (const path of globSync('dist/lib/**/*.js', { cwd: ROOT })) rmSync(ROOT + path);
  for (const [entry, name] of [
    ['src/index.ts', 'index'],
    ['src/pac/engine/pac-worker.ts', 'pac-worker'],
    ['src/config/reload/reader-thread.ts', 'reader-thread'],
  ] as const) {
    const outfile = `dist/lib/${name}.js`;
    buildSync({
      absWorkingDir: ROOT,
      entryPoints: [entry],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node22',
      packages: 'external',
      logLevel: 'warning',
    });
    writeFileSync(ROOT + outfile, withoutHttpImports(readFileSync(ROOT + outfile, 'utf8')));
  }
}

/** An import of `node:http` reads all that it exports, one of which loads Node's own fetch: a third of the time of ours. */
const withoutHttpImports = (code: string): string =>
  code.replaceAll(
    /^import \{ ([^}]*) \} from "(node:https?)";$/gm,
    (_, names: string, from: string) =>
      `const { ${names.replaceAll(' as ', ': ')} } = process.getBuiltinModule("${from}");`,
  );

/** The command, its threads that run PAC scripts and read configurations, and what scripts run in, all beside each other. */
function bundleCli(): void {
  mkdirSync(`${ROOT}dist`, { recursive: true });
  place(`${ROOT}dist/quickjs.wasm`, (path) => copyFileSync(QUICKJS, path));
  place(`${ROOT}dist/pac-worker.js`, (path) => bundleThread('src/pac/engine/pac-worker.ts', path));
  place(`${ROOT}dist/reader-thread.js`, (path) => bundleThread('src/config/reload/reader-thread.ts', path));
  const build = bundleCommand();
  place(`${ROOT}dist/start.js`, (path) => writeFileSync(path, startText(build)));
  keepCompiled(build);
  // Last: its age is that of the build.
  place(CLI, (path) => {
    writeFileSync(path, entryText(manifestOfPackage()));
    chmodSync(path, 0o755);
  });
}

/** Written beside and renamed into place: a command that starts meanwhile gets the old file or the new one. */
function place(path: string, write: (fresh: string) => void): void {
  const fresh = `${path}.${process.pid}`;
  write(fresh);
  renameSync(fresh, path);
}

/** CommonJS packages inside a bundle still call require() for Node's own modules. */
const REQUIRE =
  "import { createRequire as viaductRequire } from 'node:module';\nconst require = viaductRequire(import.meta.url);";

const BUNDLE = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node' as const,
  logLevel: 'warning' as const,
  target: 'node22',
  // jsonc-parser's other form looks for its parts when it is loaded.
  mainFields: ['module', 'main'],
  // A native addon is chosen per platform when it is loaded.
  external: ['@napi-rs/keyring', '@node-rs/bcrypt', 'koffi'],
  // V8 keeps the source in memory, in every process. With its comments, where one character is beyond Latin-1, it takes twice
  // its length. Names stay, so that a stack trace can be read.
  minifyWhitespace: true,
  lineLimit: 160,
} satisfies BuildOptions;

function bundleThread(entry: string, outfile: string): void {
  buildSync({ ...BUNDLE, entryPoints: [entry], outfile, format: 'esm', banner: { js: REQUIRE } });
  requireAscii(outfile, readFileSync(outfile, 'utf8'));
}

/** esbuild escapes what is not ASCII in a string, and cannot do so in a regular expression. */
function requireAscii(path: string, code: string): void {
  if (/[^\0-\x7f]/.test(code)) throw new Error(`${path} is not ASCII; escape the character`);
}

/**
 * The command in one file, in which a module runs when it is first imported, and the packages that it seldom needs in another; two
 * scripts for `dist/start.js`. Node takes a third longer for the same in sixty chunks. Gives their hash.
 */
function bundleCommand(): string {
  const zod = lateZod();
  const { entry, alias } = latePackages({ zod: zod.real });
  const command = bundleScript('src/cli/main.ts', {
    format: 'esm',
    // A name that scripts/late-zod.ts has not found.
    logOverride: { 'import-is-undefined': 'error' },
    alias: { ...lateBuiltins(), ...alias, zod: zod.late },
    // Beside itself it finds its threads and the addon, as a module would.
    define: { 'import.meta.url': 'viaductUrl' },
  });
  const packages = bundleScript(entry, { format: 'cjs', alias: lateBuiltins() });
  const scripts = {
    // A script has no import() of its own; packages that load a binary are all that it is for.
    command: `(function (viaductUrl, require, viaductImport, viaductCompiled, viaductPackage) {'use strict';\n${command.replaceAll(/\bimport\(/g, 'viaductImport(')}\n})`,
    packages: `(function (require) {const module = {};\n${packages}\nreturn module.exports;})`,
  };
  // Chunks of earlier builds.
  for (const name of globSync('chunk-*.js', { cwd: `${ROOT}dist` })) rmSync(`${ROOT}dist/${name}`, { force: true });
  const hash = createHash('sha256');
  for (const [name, code] of Object.entries(scripts)) {
    const path = `${ROOT}dist/${name}.js`;
    requireAscii(path, code);
    place(path, (fresh) => writeFileSync(fresh, code));
    hash.update(code);
  }
  return hash.digest('hex').slice(0, 12);
}

function bundleScript(entry: string, options: BuildOptions): string {
  const { outputFiles } = buildSync({
    ...BUNDLE,
    ...options,
    entryPoints: [entry],
    write: false,
    outfile: 'script.js',
  });
  return withoutBuiltinImports(outputFiles?.[0]?.text ?? '');
}

function modifiedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

if (import.meta.main) process.exitCode = build();
