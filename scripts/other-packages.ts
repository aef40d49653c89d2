import { existsSync, mkdirSync } from 'node:fs';
import { ROOT, run } from './tools.ts';

/** What tests bring by npm into `.cache/`, each in a folder of its own: `typescript@5.6`. */
type Spec = `${string}@${string}`;

const folderOf = (spec: Spec): string => `${ROOT}.cache/${spec.replace('@', '-')}`;
const pathIn = (spec: Spec): string => `${folderOf(spec)}/node_modules/${spec.slice(0, spec.lastIndexOf('@'))}`;

/** Whether `otherPackage` has nothing to bring. */
export const hasPackage = (spec: Spec): boolean => existsSync(pathIn(spec));

/** Folder of a package that is no dependency: it would take the place of another version, or is large. */
export function otherPackage(spec: Spec): string {
  if (!hasPackage(spec)) {
    const folder = folderOf(spec);
    mkdirSync(folder, { recursive: true });
    const quiet = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts'];
    const code = run('npm', ['install', '--prefix', folder, ...quiet, spec]);
    if (code !== 0) throw new Error(`npm could not bring ${spec}`);
  }
  return pathIn(spec);
}
