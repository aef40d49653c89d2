import { type SpawnSyncOptions, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Root of the checkout, with a trailing slash. */
export const ROOT: string = fileURLToPath(new URL('../', import.meta.url));

/** Scripts of the packages that we run. They run on the Node of this process, also where `node` is another one. */
const TOOLS = {
  tsc: 'node_modules/typescript/bin/tsc',
  biome: 'node_modules/@biomejs/biome/bin/biome',
  knip: 'node_modules/knip/bin/knip.js',
  vite: 'node_modules/vite/bin/vite.js',
} as const;

/** Runs a program in the checkout with our terminal; gives its exit code, or 1 when it was killed or is missing. */
export function run(command: string, args: readonly string[], more: SpawnSyncOptions = {}): number {
  const done = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', ...more });
  if (done.error !== undefined) process.stderr.write(`${command}: ${done.error.message}\n`);
  return done.status ?? 1;
}

export function runTool(tool: keyof typeof TOOLS, ...args: string[]): number {
  return run(process.execPath, [`${ROOT}${TOOLS[tool]}`, ...args]);
}

/** Whether the package of a tool is installed. */
export const hasTool = (tool: keyof typeof TOOLS): boolean => existsSync(ROOT + TOOLS[tool]);

export function runScript(script: string, ...args: string[]): number {
  return run(process.execPath, [`${ROOT}scripts/${script}`, ...args]);
}
