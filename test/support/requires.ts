import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Daemons live in sbin, which is not on every user's PATH. */
const SBIN = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

interface DebianPackage {
  readonly name: string;
  /** A command of the package: where it is there, the package counts as installed. */
  readonly command: string;
}

/** The packages of test/lab/packages.txt, in its order. */
export function labPackages(): DebianPackage[] {
  // Compiled tests have a copy of this file beside them.
  const lines = readFileSync(new URL('../lab/packages.txt', import.meta.url), 'utf8').split('\n');
  return lines
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '')
    .map((line) => {
      const [name = '', command = name] = line.split(/\s+/);
      return { name, command };
    });
}

/**
 * For the `skip` option of a test: false when all packages are there, else the reason and how to install them.
 * `test('…', { skip: missing('squid-openssl') }, …)`; the package must stand in test/lab/packages.txt, so that CI has it.
 */
export function missing(...names: string[]): string | false {
  const known = labPackages();
  const absent = names.filter((name) => {
    const found = known.find((one) => one.name === name);
    if (found === undefined) throw new Error(`${name} is not listed in test/lab/packages.txt`);
    return !isInstalled(found);
  });
  return absent.length > 0 && `missing here; ${installCommand(absent)}`;
}

export function isInstalled({ command }: DebianPackage): boolean {
  return [...(process.env.PATH ?? '').split(delimiter), ...SBIN].some((folder) => isExecutable(join(folder, command)));
}

/** As `missing`, for a long test whose package is too large for CI, and stands in no list. */
export const absent = (name: string, command: string): string | false =>
  !isInstalled({ name, command }) && `missing here; ${installCommand([name])}`;

export function installCommand(names: readonly string[]): string {
  return `sudo apt-get install --no-install-recommends ${names.join(' ')}`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
