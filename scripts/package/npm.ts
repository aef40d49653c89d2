/**
 * `node scripts/package/npm.ts`: the packages for npm, in .cache/packages/npm: the program, and one with the addon for each
 * kind of Linux that a compiler is there for. Others are built where they run (.github/workflows/release.yml) and put into dist/native
 * before. The same sources give the same bytes.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build, isStale } from '../build.ts';
import { type Compiler, compileAddon, isAddonStale, muslCompiler } from '../native.ts';
import { ROOT } from '../tools.ts';
import { COMMAND_FILES, PACKAGES } from './product.ts';

/**
 * The machines that get a binary. `compiler`: for machines of another kind than this one. Debian has that of arm64; one for musl, where Zig
 * is not installed, is built in Alpine (release.yml).
 */
const MACHINES: readonly Machine[] = [
  { name: 'linux-x64', cpu: 'x64', libc: 'glibc', compiler: undefined },
  { name: 'linux-arm64', cpu: 'arm64', libc: 'glibc', compiler: ['aarch64-linux-gnu-g++'] },
  { name: 'linux-x64-musl', cpu: 'x64', libc: 'musl', compiler: muslCompiler('x86_64') },
  { name: 'linux-arm64-musl', cpu: 'arm64', libc: 'musl', compiler: muslCompiler('aarch64') },
];

interface Machine {
  readonly name: string;
  readonly cpu: NodeJS.Architecture;
  readonly libc: 'glibc' | 'musl';
  readonly compiler: Compiler | undefined;
}

const packageOf = (machine: string): string => `viaduct-native-${machine}`;
const LICENSE_FILES = ['README.md', 'CHANGELOG.md', 'LICENSE'];

interface Manifest extends Readonly<Record<string, unknown>> {
  readonly version: string;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

/** Writes the folders of the packages; gives them, the program's first. */
export function stageNpm(folder = `${PACKAGES}npm`): string[] {
  rmSync(folder, { recursive: true, force: true });
  const manifest: Manifest = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
  const program = join(folder, 'viaduct');
  mkdirSync(join(program, 'dist'), { recursive: true });
  for (const file of COMMAND_FILES) cpSync(`${ROOT}dist/${file}`, join(program, 'dist', file));
  for (const part of ['lib', 'dashboard'])
    cpSync(`${ROOT}dist/${part}`, join(program, 'dist', part), { recursive: true });
  for (const file of LICENSE_FILES) cpSync(`${ROOT}${file}`, join(program, file));
  writeJson(join(program, 'package.json'), published(manifest));
  return [program, ...MACHINES.flatMap((machine) => stageAddon(folder, machine, manifest))];
}

/** What is published of package.json: nothing of how the program is developed. */
function published({ private: _, workspaces: _w, scripts: _s, devDependencies: _d, ...kept }: Manifest): object {
  const addons = Object.fromEntries(MACHINES.map(({ name }) => [packageOf(name), kept.version]));
  return { ...kept, optionalDependencies: { ...kept.optionalDependencies, ...addons } };
}

function stageAddon(folder: string, machine: Machine, { version, license }: Manifest): string[] {
  const { name, cpu, libc, compiler } = machine;
  const binary = `${ROOT}dist/native/${name}.node`;
  // What has been put there is newer than the checkout.
  if (isAddonStale(binary)) {
    const isOwn = compiler === undefined || `linux-${process.arch}` === name;
    const why = isOwn ? 'it is built on such a machine' : compileAddon(binary, compiler);
    if (why !== undefined) {
      process.stderr.write(`${packageOf(name)} is left out: ${why}\n`);
      return [];
    }
  }
  const into = join(folder, packageOf(name));
  mkdirSync(into, { recursive: true });
  cpSync(binary, join(into, 'viaduct.node'));
  cpSync(`${ROOT}LICENSE`, join(into, 'LICENSE'));
  writeFileSync(join(into, 'README.md'), `# ${packageOf(name)}\n\nThe addon of \`viaduct\` for ${name}.\n`);
  writeJson(join(into, 'package.json'), {
    name: packageOf(name),
    version,
    description: `The addon of viaduct for ${name}`,
    license,
    main: 'viaduct.node',
    files: ['viaduct.node'],
    os: ['linux'],
    cpu: [cpu],
    libc: [libc],
  });
  return [into];
}

const writeJson = (path: string, value: object): void => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

/** Packs a staged folder; gives the path of the archive. */
export function packNpm(staged: string, into: string): string {
  mkdirSync(into, { recursive: true });
  const words = ['pack', staged, '--pack-destination', into, '--ignore-scripts', '--json'];
  const { status, stdout, stderr } = spawnSync('npm', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`npm cannot pack ${basename(staged)}: ${stderr}`);
  const packed: unknown = JSON.parse(stdout);
  const [first] = Array.isArray(packed) ? packed : Object.values(packed ?? {});
  return join(into, String(Reflect.get(first, 'filename')).replace('@', '').replace('/', '-'));
}

if (import.meta.main) {
  if (isStale() && build() !== 0) process.exit(1);
  for (const staged of stageNpm()) process.stdout.write(`${packNpm(staged, PACKAGES)}\n`);
}
