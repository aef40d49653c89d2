/** Builds the native addon (`native/`) where there is a C++ compiler. Without it everything works, bulk data costs more. */
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { ROOT } from './tools.ts';

/** The command of a compiler of C++: its first word is the program. */
export type Compiler = readonly string[];
const COMPILER: Compiler = [process.env.CXX || 'c++'];
/** Zig brings a C++ library and musl of its own, for every processor: any machine can compile a binary for any other. */
export const muslCompiler = (processor: 'x86_64' | 'aarch64'): Compiler => [
  'zig',
  'c++',
  '-target',
  `${processor}-linux-musl`,
];
const HEADERS = `${ROOT}node_modules/node-api-headers/include`;
const WARNINGS = ['-Wall', '-Wextra'];
const source = (name: string): string => `${ROOT}native/${name}.cc`;
/** What the relay is made of, without Node. */
export const RELAY_SOURCES: readonly string[] = [
  'pipes',
  'tunnel',
  'decision_table',
  'repeats',
  'relay',
  'relay_repeats',
].map(source);
/** What the epoll sockets are made of, without Node. */
export const EPOLL_SOURCES: readonly string[] = ['epoll_sockets'].map(source);
export const ADDON_SOURCES: readonly string[] = [
  ...RELAY_SOURCES,
  ...EPOLL_SOURCES,
  ...['epoll_sockets_module', 'repeats_module', 'addon'].map(source),
];
/** How each of its files is compiled. No exceptions: see native/memory.h. */
export const ADDON_FLAGS: readonly string[] = [
  ...['-O2', '-fPIC', '-fno-exceptions', '-fno-rtti', '-fvisibility=hidden'],
  ...['-DNODE_GYP_MODULE_NAME=viaduct_relay', `-I${HEADERS}`],
];

/** Where `src/native/addon.ts` looks for it. Binaries for another C library have names of their own. */
const addonPath = (): string => `${ROOT}dist/native/${process.platform}-${process.arch}${isMusl() ? '-musl' : ''}.node`;

/** Compiles the addon when it is missing or older than its sources. Says in one line why it is not there. */
export function buildNative(): void {
  if (process.platform !== 'linux' || !isAddonStale(addonPath())) return;
  const why = compileAddon(addonPath());
  if (why !== undefined)
    process.stdout.write(`the native relay is not built (${why}); the portable one moves the bytes\n`);
}

/** Compiles the addon to `path`, with a compiler for another machine where one is named; `undefined`, or why not. */
export function compileAddon(path: string, compiler = COMPILER): string | undefined {
  mkdirSync(dirname(path), { recursive: true });
  const fresh = `${path}.${process.pid}`;
  const args = [
    ...ADDON_FLAGS,
    ...['-s', '-shared'],
    // A small image may have no C++ library, and an old one another version.
    ...['-static-libstdc++', '-static-libgcc'],
    ...ADDON_SOURCES,
  ];
  const why = compile(fresh, args, compiler);
  // Renamed into place: a process that runs the old one keeps it.
  if (why === undefined) renameSync(fresh, path);
  else rmSync(fresh, { force: true });
  return why;
}

/** Compiles a program; `undefined`, or why that was not possible. */
export function compile(output: string, args: readonly string[], compiler = COMPILER): string | undefined {
  const [program = '', ...words] = compiler;
  const done = spawnSync(program, [...words, '-std=c++17', ...WARNINGS, '-pthread', '-o', output, ...args], {
    encoding: 'utf8',
  });
  if (done.error !== undefined) return `no C++ compiler: ${program}`;
  if (done.status === 0) return undefined;
  const lines = done.stderr.split('\n');
  return lines.find((line) => line.includes('error')) ?? lines[0] ?? 'the compiler failed';
}

/** Whether an addon is missing, or older than its sources. */
export function isAddonStale(path: string): boolean {
  const built = modifiedMs(path);
  return globSync('native/*', { cwd: ROOT }).some((path) => modifiedMs(ROOT + path) > built);
}

/** Node says which glibc it runs on, and nothing where it runs on another C library. */
function isMusl(): boolean {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return process.platform === 'linux' && header.glibcVersionRuntime === undefined;
}

const modifiedMs = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
