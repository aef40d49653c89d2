import { readFileSync } from 'node:fs';
import { ROOT } from '../tools.ts';

/** What packages of every kind say about the program. The one place for texts, names and addresses of releases. */
interface Product {
  readonly name: string;
  readonly version: string;
  readonly summary: string;
  readonly description: string;
  readonly license: string;
  readonly homepage: string;
  readonly maintainer: string;
  /** Where the files of a release lie, without the file's name. */
  readonly downloads: string;
}

/** The owner of the repository once it is published; manifests that name it are drafts until then. */
const REPOSITORY = 'https://github.com/viaduct-proxy/viaduct';

export function product(): Product {
  const { name, version, license, description }: Record<'name' | 'version' | 'license' | 'description', string> =
    JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
  return {
    name,
    version,
    summary: 'forward proxy for laptops and networks',
    description,
    license,
    homepage: REPOSITORY,
    maintainer: 'The Viaduct authors <viaduct@example.invalid>',
    downloads: `${REPOSITORY}/releases/download/v${version}`,
  };
}

/** Where packages are written. */
export const PACKAGES: string = `${ROOT}.cache/packages/`;

/** Files of dist/ that the command consists of. */
export const COMMAND_FILES: readonly string[] = [
  ...['cli.js', 'command.js', 'packages.js', 'pac-worker.js', 'quickjs.wasm', 'reader-thread.js', 'start.js'],
];
