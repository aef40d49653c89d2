import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { ROOT, run, runTool } from './tools.ts';

const PACKAGE = `node-linux-${process.arch}`;
const folderOf = (major: number): string => `${ROOT}.cache/node-${major}`;
const pathIn = (folder: string): string => `${folder}/node_modules/${PACKAGE}/bin/node`;

/** Whether `nodeOfMajor` has nothing to bring. */
export const hasNodeOfMajor = (major: number): boolean => existsSync(pathIn(folderOf(major)));

/** Path of the newest Node of a major version, brought by npm into `.cache/`. Only Linux: CI runs there. */
export function nodeOfMajor(major: number): string {
  const folder = folderOf(major);
  const node = pathIn(folder);
  if (!existsSync(node)) {
    mkdirSync(folder, { recursive: true });
    const quiet = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts'];
    const code = run('npm', ['install', '--prefix', folder, ...quiet, `${PACKAGE}@${major}`]);
    if (code !== 0) throw new Error(`npm could not bring Node ${major}`);
  }
  return node;
}

/**
 * Compiles source and tests with `tsc` for Node 22, which strips types but cannot parse `using`.
 * Gives the folder that holds `src/` and `test/`; everything else that a test may look for beside them is linked.
 */
export function compileForOldestNode(): string {
  const folder = `${ROOT}.cache/compiled`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const settings = {
    extends: '../../tsconfig.json',
    compilerOptions: { noEmit: false, rootDir: '../..', outDir: '.', allowImportingTsExtensions: false },
    include: ['../../src', '../../test'],
  };
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(settings));
  if (runTool('tsc', '-p', `${folder}/tsconfig.json`) !== 0) throw new Error('the tests do not compile');
  cpSync(`${ROOT}test`, `${folder}/test`, { recursive: true, filter: (path) => !path.endsWith('.ts') });
  for (const name of ['dist', 'docs', 'package.json', 'README.md']) {
    if (existsSync(ROOT + name)) symlinkSync(`../../${name}`, `${folder}/${name}`);
  }
  return folder;
}
