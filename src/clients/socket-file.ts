import { chmodSync, chownSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { accountNumber } from '../files/system-accounts.ts';
import type { ListenSettings } from './options.ts';

/** Who may connect to a Unix socket: the mode, owner and group of its file. */
export type SocketFileRules = Pick<ListenSettings, 'mode' | 'owner' | 'group'>;

const hasRules = ({ mode, owner, group }: SocketFileRules): boolean =>
  mode !== undefined || owner !== undefined || group !== undefined;

/**
 * Calls `bind`, which makes the file at once: until its rules hold, only its owner can connect. In a thread of its own the
 * umask cannot be changed: there the file has, for a moment, the mode that the umask leaves it.
 */
export function bindPrivately(rules: SocketFileRules | undefined, bind: () => void): void {
  if (rules === undefined || !hasRules(rules) || !isMainThread || process.platform === 'win32') return bind();
  const before = process.umask(0o177);
  try {
    bind();
  } finally {
    process.umask(before);
  }
}

/** Throws the error of the system, e.g. where only root may give the file away. */
export function applySocketFileRules(path: string, rules: SocketFileRules | undefined): void {
  if (rules === undefined || !hasRules(rules)) return;
  const { mode, owner, group } = rules;
  if (owner !== undefined || group !== undefined) {
    chownSync(path, numberOf('user', owner), numberOf('group', group));
  }
  // Behind the owner: `chown` may take bits of the mode away.
  chmodSync(path, mode ?? GROUP_MODE);
}

/** Of a socket that has an owner or a group and no mode: to connect takes the right to write. */
const GROUP_MODE = 0o660;
/** What chown(2) leaves as it is. */
const UNCHANGED = -1;

function numberOf(kind: 'user' | 'group', name: string | undefined): number {
  if (name === undefined) return UNCHANGED;
  const number = accountNumber(kind, name);
  if (number === undefined) throw Object.assign(new Error(`there is no ${kind} ${name}`), { code: 'ENOENT' });
  return number;
}
