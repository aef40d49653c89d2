import { readFileSync } from 'node:fs';
import { missing } from '../support/requires.ts';
import type { LabAccount } from './accounts.ts';
import { FAR_NAME, type LabFolder } from './daemon.ts';

const PACKAGES = [
  'squid-openssl',
  'winbind',
  'samba-common-bin',
  'krb5-kdc',
  'krb5-admin-server',
  'krb5-user',
  'util-linux',
];

/** For the `skip` option of a test with upstream proxies that authenticate: false where the lab can be started, else the reason. */
export function noLab(): string | false {
  if (process.platform !== 'linux') return 'the lab has its servers in Linux namespaces';
  if (process.getuid?.() !== 0) return 'the lab mounts its files over those of the machine: run it as root';
  return missing(...PACKAGES);
}

/** What a server sees where the machine has something else. */
export interface PrivateView {
  /** Path of the folder of Samba's sockets: it is compiled into winbindd and its clients, so two labs would share it. */
  readonly samba?: string;
  /** Put over the file of that name in /etc. */
  readonly etc?: Readonly<Record<string, string>>;
}

/**
 * Words that start a program with mounts of its own. Nothing that it starts outlives it, in sessions of their own either
 * (winbindd's children, Squid's helpers). Its machine is called localhost: helpers look their own host up. Needs root.
 */
export function privately(words: readonly string[], { samba, etc = {} }: PrivateView): string[] {
  const mounts = Object.entries(etc).map(([name, path]) => `mount --bind '${path}' "$(readlink -f /etc/${name})"`);
  if (samba !== undefined) {
    mounts.push('mount -t tmpfs none /run', 'mkdir /run/samba', `mount --bind '${samba}' /run/samba`);
  }
  // The shell stays: it is the process that is killed with its parent, and Squid would forget to be when it changes user.
  const inside = `${[...mounts, 'hostname localhost', '"$@"'].join(' && ')}; exit $?`;
  const namespaces = ['--mount', '--propagation', 'private', '--uts', '--pid', '--fork', '--kill-child'];
  return ['unshare', ...namespaces, 'sh', '-c', inside, 'sh', ...words];
}

/** Accounts that exist as Unix users for a program that sees this file as /etc/passwd. */
export function passwdWith(folder: LabFolder, accounts: readonly LabAccount[]): string {
  const names = new Set(accounts.map(({ user }) => user));
  const others = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !names.has(line.split(':')[0] ?? ''));
  const ours = accounts.map(({ user }, at) => `${user}:x:${54_001 + at}:65534::/nonexistent:/usr/sbin/nologin`);
  return folder.write('passwd', [...others, ...ours, ''].join('\n'));
}

/** Names that the servers of the lab know, and the machine does not. */
export const hostsOf = (folder: LabFolder): string =>
  folder.write('hosts', `127.0.0.1 localhost ${FAR_NAME}\n::1 localhost\n`);
