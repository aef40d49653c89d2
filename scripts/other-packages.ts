import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { ROOT, run } from './tools.ts';

/** What tests bring by npm into `.cache/`, each in a folder of its own: `typescript@5.6`. */
type Spec = `${string}@${string}`;

const folderOf = (spec: Spec): string => `${ROOT}.cache/${spec.replace('@', '-')}`;
const pathIn = (spec: Spec): string => `${folderOf(spec)}/node_modules/${spec.slice(0, spec.lastIndexOf('@'))}`;

/** Whether `otherPackage` has nothing to bring. */
export const hasPackage = (spec: Spec): boolean => existsSync(pathIn(spec));

/** A test waits for it, and its own time-out cannot end a wait that is not async. Jest, the largest, takes 10 s. */
const INSTALL_MS_MAX = 180_000;

/** Folder of a package that is no dependency: it would take the place of another version, or is large. */
export function otherPackage(spec: Spec): string {
  if (!hasPackage(spec)) bring(spec);
  return pathIn(spec);
}

/** Into place as a whole: half of a package, which a run that was ended has left, would fail every run behind it. */
function bring(spec: Spec): void {
  const folder = folderOf(spec);
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  try {
    const quiet = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts'];
    const code = run('npm', ['install', '--prefix', fresh, ...quiet, spec], { timeout: INSTALL_MS_MAX });
    if (code !== 0) throw new Error(`npm could not bring ${spec}; is its registry reachable?`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}
