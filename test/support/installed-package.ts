import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../scripts/tools.ts';
import type { TemporaryFolder } from './temporary.ts';

const NEEDED = [
  'zod',
  'undici',
  'yaml',
  'tldts',
  'quickjs-wasi',
  '@types',
  'undici-types',
  '@node-rs',
  'tldts-core',
] as const;

/** Files of the package, as npm would unpack them, and what it needs as links, with `more` beside it. */
export function installPackage(folder: TemporaryFolder, ...more: readonly string[]): void {
  const home = join(folder.path, 'node_modules');
  mkdirSync(join(home, 'viaduct'), { recursive: true });
  for (const name of ['dist', 'package.json']) cpSync(ROOT + name, join(home, 'viaduct', name), { recursive: true });
  for (const name of [...NEEDED, ...more]) symlinkSync(`${ROOT}node_modules/${name}`, join(home, name));
}

/** Runs Node in that folder to its end. */
export function runIn(folder: TemporaryFolder, words: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  // Without the variable by which the test runner's own children know that they are its children.
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  const env = { ...inherited, ...environment };
  const { stdout, stderr, status } = spawnSync(process.execPath, words, { cwd: folder.path, encoding: 'utf8', env });
  return { said: stdout + stderr, status };
}
