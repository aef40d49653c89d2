/**
 * `node scripts/package/executable.ts`: the program and Node 26 in one file, by Node's --build-sea, in .cache/packages/viaduct.
 * Its assets are the files that an installation by npm has. It unpacks them into a folder of the user and runs them from
 * there: threads, worker processes, addons and the cache of compiled code need files.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, isStale } from '../build.ts';
import { nodeOfMajor } from '../other-nodes.ts';
import { ROOT } from '../tools.ts';
import { COMMAND_FILES, PACKAGES, product } from './product.ts';

/** Packages that are not part of the bundle, since they load a binary for the machine. */
const WITH_BINARIES = ['@napi-rs/keyring*', '@node-rs/bcrypt*', 'koffi', '@koromix/koffi*'];

/** Every file of the program by its path; with its hash, so that what was unpacked can be checked before it is run. */
function assetsOf(): Map<string, string> {
  const assets = new Map<string, string>();
  for (const file of COMMAND_FILES) assets.set(`dist/${file}`, `${ROOT}dist/${file}`);
  const more = [
    'dist/dashboard/**/*',
    `dist/native/linux-${process.arch}.node`,
    ...WITH_BINARIES.map((name) => `node_modules/${name}/**/*.{js,cjs,json,node}`),
  ];
  for (const path of globSync(more, { cwd: ROOT }).sort()) {
    if (statSync(ROOT + path).isFile()) assets.set(path, ROOT + path);
  }
  return assets;
}

/** Runs in the executable, as CommonJS without modules of ours. Its functions are short, since nothing tests them alone. */
const mainText = (hashes: Readonly<Record<string, string>>, id: string): string => `'use strict';
const { createHash } = require('node:crypto');
const { chmodSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { homedir } = require('node:os');
const { dirname, join } = require('node:path');
const { getRawAsset } = require('node:sea');
const HASHES = ${JSON.stringify(hashes)};
const env = process.env;
const caches = env.XDG_CACHE_HOME || (process.platform === 'win32' ? env.LOCALAPPDATA : undefined) || join(homedir(), '.cache');
const folder = join(caches, 'viaduct', 'program-${id}');
const hashOf = (bytes) => createHash('sha256').update(bytes).digest('hex');
function isAsPacked(file) {
  try {
    return hashOf(readFileSync(join(folder, file))) === HASHES[file];
  } catch {
    return false;
  }
}
function checkFolder() {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { mode, uid } = lstatSync(folder);
  if (process.getuid === undefined) return;
  if (uid !== process.getuid()) throw new Error(folder + ' belongs to another user; remove it, or set XDG_CACHE_HOME');
  if ((mode & 0o077) !== 0) chmodSync(folder, 0o700);
}
function unpack() {
  checkFolder();
  for (const file of Object.keys(HASHES)) {
    if (isAsPacked(file)) continue;
    const path = join(folder, file);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const fresh = path + '.' + process.pid;
    writeFileSync(fresh, Buffer.from(getRawAsset(file)), { mode: 0o600 });
    renameSync(fresh, path);
  }
}
try {
  unpack();
} catch (error) {
  process.stderr.write('viaduct: cannot unpack itself: ' + error.message + '\\n');
  process.exit(1);
}
const command = join(folder, 'dist', 'cli.js');
// A worker process is this file again, with the command's path in front of its words.
if (process.argv[2] === command) process.argv.splice(2, 1);
process.argv[1] = command;
createRequire(command)(command);
`;

/** Builds it; gives its path. Throws with what Node said. */
export function buildExecutable(into = PACKAGES): string {
  // Elsewhere the release workflow runs this with the Node that it is to contain.
  const node = process.platform === 'linux' ? nodeOfMajor(26) : process.execPath;
  const folder = join(into, 'executable');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const assets = assetsOf();
  const manifest = join(folder, 'package.json');
  // Without `private` and the rest: dist/ finds its version here.
  const { name, version } = product();
  writeFileSync(manifest, `${JSON.stringify({ name, version, type: 'module' })}\n`);
  assets.set('package.json', manifest);
  const hashes = Object.fromEntries([...assets].map(([file, path]) => [file, sha256(path)]));
  const id = createHash('sha256').update(JSON.stringify(hashes)).digest('hex').slice(0, 12);
  writeFileSync(join(folder, 'main.cjs'), mainText(hashes, id));
  // lintian and most systems expect binaries without symbols; Node's own is a third smaller so.
  const base = join(folder, 'node');
  cpSync(node, base);
  if (process.platform === 'linux') spawnSync('strip', [base]);
  const output = join(into, process.platform === 'win32' ? 'viaduct.exe' : 'viaduct');
  const settings = {
    main: join(folder, 'main.cjs'),
    executable: base,
    output,
    disableExperimentalSEAWarning: true,
    useCodeCache: false,
    execArgvExtension: 'none',
    assets: Object.fromEntries(assets),
  };
  writeFileSync(join(folder, 'sea.json'), JSON.stringify(settings));
  const built = spawnSync(node, ['--build-sea', join(folder, 'sea.json')], { encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`Node cannot build the executable: ${built.stderr}`);
  // macOS runs nothing on arm64 without a signature, and that of Node does not hold any more.
  if (process.platform === 'darwin') spawnSync('codesign', ['--sign', '-', '--force', output]);
  return output;
}

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

if (import.meta.main) {
  if (isStale() && build() !== 0) process.exit(1);
  process.stdout.write(`${buildExecutable()}\n`);
}
