import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * Whether this process is in the background of its terminal (`viaduct run &`). There the system stops it when it reads a
 * key or changes how the terminal echoes (SIGTTIN, SIGTTOU), without a message.
 */
export function isInBackground(): boolean {
  const groups = process.platform === 'linux' ? groupsOnLinux() : groupsByPs();
  return groups !== undefined && groups.foreground > 0 && groups.own !== groups.foreground;
}

interface Groups {
  readonly own: number;
  readonly foreground: number;
}

/** proc(5): behind the name of the program, which may hold anything, state, ppid, pgrp, session, tty_nr, tpgid. */
function groupsOnLinux(): Groups | undefined {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1');
    const [, , own, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { own: Number(own), foreground: Number(foreground) };
  } catch {
    return undefined;
  }
}

function groupsByPs(): Groups | undefined {
  if (process.platform === 'win32') return undefined;
  try {
    const words = ['-o', 'pgid=,tpgid=', '-p', String(process.pid)];
    const output = execFileSync('ps', words, {
      encoding: 'latin1',
      timeout: 1_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [own, foreground] = output.trim().split(/\s+/);
    return { own: Number(own), foreground: Number(foreground) };
  } catch {
    return undefined;
  }
}
