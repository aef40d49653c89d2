import { join } from 'node:path';
import type { Machine } from '../machine.ts';

/** The folder of a program's settings on each system, below what that system has for it. */
export function appFolder({ platform, environment, home, configHome }: Machine, name: string): string {
  if (platform === 'win32') return join(environment.APPDATA || join(home, 'AppData', 'Roaming'), name);
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', name);
  return join(configHome, name);
}

export const LOCAL = 'localhost,127.0.0.1,::1';
