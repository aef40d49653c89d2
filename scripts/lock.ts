/**
 * `npm run lock` after a dependency has changed. A registry may lack packages of other platforms; npm then leaves them
 * out of package-lock.json, and `npm ci` refuses the file that npm has just written. What is left out is written in:
 * such packages are optional and exact, and npm skips them by `os` and `cpu` without asking for them.
 *
 *   node scripts/lock.ts [--check]     --check only tells what is missing, and fails
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { ROOT } from './tools.ts';

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly optional?: boolean;
  readonly dev?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}
type Packages = Readonly<Record<string, Locked>>;

const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'win32', 'openharmony', 'aix', 'netbsd', 'openbsd', 'sunos'];
const CPUS = ['x64', 'arm64', 'arm', 'ia32', 'ppc64', 'riscv64', 's390x', 'loong64', 'wasm32'];

/** Entries that npm left out, by their place in the lock file. Throws when one names no exact version. */
export function leftOut(packages: Packages): Record<string, Locked> {
  const missing: Record<string, Locked> = {};
  for (const [path, parent] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
      const nested = packages[`${path}/node_modules/${name}`];
      const locked = nested ?? packages[`node_modules/${name}`];
      // Without a manifest npm keeps the entry that was written in, and drops what it is for.
      if (locked !== undefined && (locked.integrity !== undefined || locked.os !== undefined)) continue;
      if (!/^\d+\.\d+\.\d+/.test(version))
        throw new Error(`${path} wants ${name}@${version}, which is not an exact version`);
      const { os, cpu, libc } = platformOf(name);
      // In npm's own order, so that its next run changes nothing.
      missing[`node_modules/${name}`] = {
        version,
        ...(cpu.length > 0 ? { cpu } : {}),
        ...(parent.dev === true ? { dev: true } : {}),
        ...(libc.length > 0 ? { libc } : {}),
        optional: true,
        ...(os.length > 0 ? { os } : {}),
      };
    }
  }
  return missing;
}

/** `…-linux-arm64-musl` says for which machines a package is. */
function platformOf(name: string): Required<Pick<Locked, 'os' | 'cpu' | 'libc'>> {
  const words = name.split(/[/.-]/);
  const os = SYSTEMS.filter((system) => words.includes(system));
  const cpu = CPUS.filter((one) =>
    words.some((word) => word === one || (one === 'arm' && /^arm(eabi|v7)?$/.test(word))),
  );
  const isFor = (start: string) => os.includes('linux') && words.some((word) => word.startsWith(start));
  return { os, cpu, libc: isFor('musl') ? ['musl'] : isFor('gnu') ? ['glibc'] : [] };
}

function main(mode: 'check' | 'write'): number {
  const path = `${ROOT}package-lock.json`;
  const lock: { packages: Packages } = JSON.parse(readFileSync(path, 'utf8'));
  const missing = leftOut(lock.packages);
  const names = Object.keys(missing);
  if (names.length === 0) return 0;
  if (mode === 'check') {
    process.stderr.write(`package-lock.json lacks ${names.length} packages, ${names[0]} first: npm run lock\n`);
    return 1;
  }
  const all = Object.entries({ ...lock.packages, ...missing }).sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(path, `${JSON.stringify({ ...lock, packages: Object.fromEntries(all) }, null, 2)}\n`);
  return 0;
}

if (import.meta.main) process.exitCode = main(process.argv.includes('--check') ? 'check' : 'write');
