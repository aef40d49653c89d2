import { readFileSync } from 'node:fs';
import { ROOT } from './tools.ts';

/** What a start needs has been compiled, and requests have a moment for themselves. */
const KEEP_AFTER_MS = 5000;

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
}

/** What V8 compiles of the command takes 2 MB, twice. */
const KEPT_BYTES_MAX = 67_108_864;

/**
 * The text of `dist/cli.js`: it looks at the version of Node and then loads the command. It stands in a file of its own,
 * in words that Node 10 can parse: an older Node refuses the command itself with a SyntaxError, which says nothing of the
 * reason. `engines.node` is the field of package.json; what is newer than its last `^` is taken, whether it is named or not.
 * `--version` is answered here, since the command takes longer to load.
 */
export function entryText({ version, engines }: Manifest): string {
  const ranges = [...engines.node.matchAll(/\^(\d+)\.(\d+)/g)].map(([, major, minor]) => [
    Number(major),
    Number(minor),
  ]);
  const [last, ...others] = ranges.toReversed();
  if (last === undefined) {
    throw new Error(`package.json: engines.node is ${engines.node}, without a range such as ^24.11`);
  }
  const known = ranges.map(([major, minor]) => `${major}.${minor}`).join(' or ');
  const isSupported = [
    ...others.map(([major, minor]) => `(major === ${major} && minor >= ${minor})`),
    `(major === ${last[0]} && minor >= ${last[1]})`,
    `major > ${last[0]}`,
  ].join(' || ');
  return `#!/usr/bin/env node
var numbers = process.versions.node.split('.');
var major = Number(numbers[0]);
var minor = Number(numbers[1]);
if (!(${isSupported})) {
  process.stderr.write('viaduct: Node ' + process.versions.node + ' is too old; install Node ${known}, or a later one\\n');
  process.exitCode = 2;
} else if (process.argv.length === 3 && process.argv[2] === '--version') {
  process.stdout.on('error', function () {});
  process.stdout.write('viaduct ${version}\\n');
} else {
  import('./start.js');
}
`;
}

/**
 * The text of `dist/start.js`, which runs `dist/command.js` with what V8 has compiled of it before, and `dist/packages.js` where
 * something of it is used. Node's own cache holds only what is compiled before the code runs, a third of what a start needs.
 *
 * `dist/compiled/` has what the build has compiled, for its own Node (scripts/compiled.ts); it is trusted as the code beside it is. For
 * others an earlier start has left it in the user's cache (src/cli/run/compiled-code.ts). V8 knows by itself whether it is of the same
 * version with the same flags, and of the source only its length: hence `build`, the hash of the code, in the name of the
 * folder. It does not see that a byte has changed, and would run what is not our code: hence a file of the cache holds the same
 * twice, which is compared in less time than it takes to load what computes a hash. It must belong to the user of this process,
 * who alone may write it: with `sudo`, HOME may be that of another user. The flags that the proxy needs are part of V8's
 * comparison, so they are set first (src/cli/run/v8-flags.ts).
 */
export const startText = (
  build: string,
  keepAfterMs = KEEP_AFTER_MS,
): string => `const fs = process.getBuiltinModule('node:fs');
const { createRequire } = process.getBuiltinModule('node:module');
const { fileURLToPath } = process.getBuiltinModule('node:url');
const { Script } = process.getBuiltinModule('node:vm');
const { env, platform, version, arch } = process;
process.getBuiltinModule('node:v8').setFlagsFromString('--no-allocation-site-pretenuring');
process.getBuiltinModule('node:v8').setFlagsFromString('--memory-reducer-gc-count=0');
if (Number.parseInt(process.versions.v8, 10) >= 13)
  process.getBuiltinModule('node:v8').setFlagsFromString('--invocation-count-for-turbofan=12000');
const here = fileURLToPath(new URL('.', import.meta.url));
const home = platform === 'win32' ? env.LOCALAPPDATA : env.HOME && env.HOME + '/.cache';
const caches = env.XDG_CACHE_HOME || home;
const folder = caches && caches + '/viaduct/compile-${build}';
const require = createRequire(import.meta.url);
const isOurs = ({ uid, mode }) => platform === 'win32' || (uid === process.geteuid() && (mode & 0o022) === 0);
function read(path) {
  let fd;
  try {
    // A pipe must not hold up the start.
    fd = fs.openSync(path, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK || 0));
    const stat = fs.fstatSync(fd);
    if (!stat.isFile() || stat.size > ${KEPT_BYTES_MAX} || stat.size % 2 !== 0 || !isOurs(stat)) return undefined;
    const bytes = fs.readFileSync(fd);
    const half = bytes.length / 2;
    const kept = bytes.subarray(0, half);
    return kept.equals(bytes.subarray(half)) ? kept : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}
function built(path) {
  try {
    return fs.readFileSync(path);
  } catch {
    return undefined;
  }
}
const scripts = [];
function load(name) {
  const filename = here + name + '.js';
  const source = fs.readFileSync(filename, 'latin1');
  const file = folder && folder + '/' + name + '-' + version + '-' + arch;
  let script;
  for (const find of [() => built(here + 'compiled/' + name + '-' + version + '-' + arch + '-${build}'), () => file && read(file)]) {
    const cachedData = find();
    if (cachedData === undefined) continue;
    script = new Script(source, { filename, cachedData });
    if (script.cachedDataRejected === false) break;
  }
  const isKnown = script !== undefined && script.cachedDataRejected === false;
  script ??= new Script(source, { filename });
  scripts.push({ name, file, isKnown, bytes: () => script.createCachedData() });
  return script.runInThisContext();
}
let packages;
const packageOf = (name) => (packages ??= load('packages')(require))(name);
load('command')(import.meta.url, require, (name) => import(name), folder && { folder, read, scripts, keepAfterMs: ${keepAfterMs} }, packageOf);
`;

export const manifestOfPackage = (): Manifest => JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
