import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from '../config/environment.ts';

/** Where this user's programs keep what outlives them (XDG base directories). Made when something is written. */
export function stateFolder(environment: Environment): string {
  const base = environment.XDG_STATE_HOME || join(environment.HOME || homedir(), '.local', 'state');
  return join(base, 'viaduct');
}
