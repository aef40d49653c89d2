import { existsSync, mkdirSync } from 'node:fs';
import { ROOT, run } from './tools.ts';

const folderOf = (version: string): string => `${ROOT}.cache/typescript-${version}`;
const pathIn = (folder: string): string => `${folder}/node_modules/typescript/lib/tsc.js`;

/** Whether `typescriptOf` has nothing to bring. */
export const hasTypescriptOf = (version: string): boolean => existsSync(pathIn(folderOf(version)));

/** Path of the compiler of another version, brought by npm into `.cache/`: as a dependency it would take the place of `tsc`. */
export function typescriptOf(version: string): string {
  const folder = folderOf(version);
  const compiler = pathIn(folder);
  if (!existsSync(compiler)) {
    mkdirSync(folder, { recursive: true });
    const quiet = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts'];
    const code = run('npm', ['install', '--prefix', folder, ...quiet, `typescript@${version}`]);
    if (code !== 0) throw new Error(`npm could not bring TypeScript ${version}`);
  }
  return compiler;
}
