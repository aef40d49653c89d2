import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Where this user's programs keep what outlives them (XDG base directories; on Windows what does not follow the user to other
 * machines). Made when something is written.
 */
export function stateFolder(
  environment: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform = process.platform,
): string {
  const local = platform === 'win32' ? environment.LOCALAPPDATA : undefined;
  const base = environment.XDG_STATE_HOME || local || join(environment.HOME || homedir(), '.local', 'state');
  return join(base, 'viaduct');
}
