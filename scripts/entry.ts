import { readFileSync } from 'node:fs';
import { ROOT } from './tools.ts';

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
}

/**
 * The text of `dist/cli.js`: it looks at the version of Node and then loads the command. It stands in a file of its own,
 * in words that Node 10 can parse: an older Node refuses the command itself with a SyntaxError, which says nothing of the
 * reason. `engines.node` is the field of package.json; what is newer than its last `^` is taken, whether it is named or not.
 * `--version` is answered here, and code that V8 has compiled is kept in the user's cache: both make a start short. `build` tells
 * the caches of two builds apart. The folder is the user's own, since code is run from it.
 */
export function entryText({ version, engines }: Manifest, build: string): string {
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
  var env = process.env;
  var caches = env.XDG_CACHE_HOME || (process.platform === 'win32' ? env.LOCALAPPDATA : env.HOME && env.HOME + '/.cache');
  if (caches) process.getBuiltinModule('node:module').enableCompileCache(caches + '/viaduct/compile-${build}');
  import('./command.js');
}
`;
}

export const manifestOfPackage = (): Manifest => JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
