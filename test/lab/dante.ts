import { readFileSync } from 'node:fs';
import { Daemon, FAR_NAME, freePorts, LAB_USERS, LabFolder } from './daemon.ts';
import { sha512 } from './password.ts';

/** Debian's Dante: SOCKS 4, 4A and 5. */
export interface Dante extends AsyncDisposable {
  readonly port: number;
  readonly daemon: Daemon;
}

/** A port on this machine that its rules forbid. */
export const FORBIDDEN_PORT = 9;

/** `username`: with SOCKS5 and a user of LAB_USERS only. Needs root: its accounts are mounted over those of the machine. */
export async function startDante(method: 'none' | 'username'): Promise<Dante> {
  const folder = new LabFolder();
  const [port = 0] = await freePorts(1);
  const users = method === 'username' ? LAB_USERS : [];
  const account = ([user]: readonly [string, string], at: number) =>
    `${user}:x:${54_001 + at}:65534::/nonexistent:/usr/sbin/nologin\n`;
  const secret = ([user, password]: readonly [string, string]) => `${user}:${sha512(password)}:19000:0:99999:7:::\n`;
  folder.write('passwd', readFileSync('/etc/passwd', 'utf8') + users.map(account).join(''));
  folder.write('shadow', readFileSync('/etc/shadow', 'utf8') + users.map(secret).join(''), 0o600);
  folder.write('hosts', `127.0.0.1 localhost ${FAR_NAME}\n::1 localhost\n`);
  folder.write('resolv.conf', 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n');
  const configuration = folder.write(
    'danted.conf',
    `logoutput: stderr
internal: 127.0.0.1 port = ${port}
external: 127.0.0.1
external: ::1
external.rotation: none
clientmethod: none
socksmethod: ${method}
user.privileged: root
user.unprivileged: nobody
timeout.connect: 3
client pass { from: 127.0.0.0/8 to: 0/0 }
socks block { from: 0/0 to: 127.0.0.0/8 port = ${FORBIDDEN_PORT} log: error }
socks pass { from: 0/0 to: 127.0.0.0/8 log: error }
socks pass { from: 0/0 to: ::1/128 log: error }
socks block { from: 0/0 to: 0/0 log: error }
`,
  );
  const mounts = ['passwd', 'shadow', 'hosts', 'resolv.conf'].map(
    (name) => `mount --bind '${folder.path}/${name}' "$(readlink -f /etc/${name})"`,
  );
  const inside = `${mounts.join(' && ')} && exec "$@"`;
  const words = ['unshare', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child'];
  const danted = ['danted', '-N', '1', '-f', configuration, '-p', `${folder.log}/pid`];
  const daemon = await Daemon.start([...words, 'sh', '-c', inside, 'sh', ...danted], [port], folder);
  return { port, daemon, [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose]() };
}
