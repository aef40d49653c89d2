/** Builds the native addon (`native/`) where there is a C++ compiler. Without it everything works, bulk data costs more. */
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { ROOT } from './tools.ts';

const COMPILER = process.env.CXX || 'c++';
const HEADERS = `${ROOT}node_modules/node-api-headers/include`;
const WARNINGS = ['-Wall', '-Wextra'];
const source = (name: string): string => `${ROOT}native/${name}.cc`;
/** What the relay is made of; it knows nothing of Node. */
export const RELAY_SOURCES: readonly string[] = ['pipes', 'tunnel', 'relay'].map(source);
const ADDON_SOURCES = [...RELAY_SOURCES, ...['lane', 'lane_module', 'addon'].map(source)];

/** Where `src/native/addon.ts` looks for it. Binaries for another C library have names of their own. */
const addonPath = (): string => `${ROOT}dist/native/${process.platform}-${process.arch}${isMusl() ? '-musl' : ''}.node`;

/** Compiles the addon when it is missing or older than its sources. Says in one line why it is not there. */
export function buildNative(): void {
  if (process.platform !== 'linux' || !isStale()) return;
  mkdirSync(`${ROOT}dist/native`, { recursive: true });
  const addon = addonPath();
  const fresh = `${addon}.${process.pid}`;
  const why = compile(fresh, [
    ...['-O2', '-s', '-fPIC', '-shared', '-fno-exceptions', '-fno-rtti', '-fvisibility=hidden'],
    // A small image may have no C++ library, and an old one another version.
    ...['-static-libstdc++', '-static-libgcc'],
    ...['-DNODE_GYP_MODULE_NAME=viaduct_relay', `-I${HEADERS}`],
    ...ADDON_SOURCES,
  ]);
  // Renamed into place: a process that runs the old one keeps it.
  if (why === undefined) return renameSync(fresh, addon);
  rmSync(fresh, { force: true });
  process.stdout.write(`the native relay is not built (${why}); the portable one moves the bytes\n`);
}

/** Compiles a program; `undefined`, or why that was not possible. */
export function compile(output: string, args: readonly string[]): string | undefined {
  const done = spawnSync(COMPILER, ['-std=c++17', ...WARNINGS, '-pthread', '-o', output, ...args], {
    encoding: 'utf8',
  });
  if (done.error !== undefined) return `no C++ compiler: ${COMPILER}`;
  if (done.status === 0) return undefined;
  const lines = done.stderr.split('\n');
  return lines.find((line) => line.includes('error')) ?? lines[0] ?? 'the compiler failed';
}

function isStale(): boolean {
  const built = modifiedMs(addonPath());
  return globSync('native/*', { cwd: ROOT }).some((path) => modifiedMs(ROOT + path) > built);
}

/** Node says which glibc it runs on, and nothing where it runs on another C library. */
function isMusl(): boolean {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return process.platform === 'linux' && header.glibcVersionRuntime === undefined;
}

const modifiedMs = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
