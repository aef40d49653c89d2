import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { ALL_ACCOUNTS } from './accounts.ts';
import { Daemon, LabFolder } from './daemon.ts';
import { hostsOf, passwdWith, privately } from './private.ts';

/** Samba's winbind, which verifies NTLM against accounts of its own. LM, NTLMv1 and NTLM2-session are refused. */
export interface Winbind extends AsyncDisposable {
  /** Its own name, which is the domain of its accounts. */
  readonly domain: string;
  /** For its client, Squid's helper. */
  readonly configuration: string;
  readonly samba: string;
  /** How many logins it has turned down, by its own log. */
  failedLogins(): number;
  readonly daemon: Daemon;
}

export const NTLM_DOMAIN = 'NTLMBOX';

/** `workgroup`: where it is the domain of the accounts, Samba's client finds the credentials that winbindd keeps (wbinfo --ccache-save). */
export async function startWinbind({ workgroup = 'LABGROUP' } = {}): Promise<Winbind> {
  const folder = new LabFolder();
  const path = (name: string): string => `${folder.path}/${name}`;
  for (const name of ['private', 'lock', 'state', 'cache', 'pid', 'ncalrpc', 'samba']) mkdirSync(path(name));
  // Only this group may present challenges of its own, and Squid's helpers are in it.
  mkdirSync(path('state/winbindd_privileged'), { mode: 0o750 });
  execFileSync('chgrp', ['proxy', path('state/winbindd_privileged')]);
  const configuration = folder.write(
    'smb.conf',
    `[global]
workgroup = ${workgroup}
netbios name = ${NTLM_DOMAIN}
server role = standalone server
passdb backend = tdbsam:${path('private/passdb.tdb')}
private dir = ${path('private')}
lock directory = ${path('lock')}
state directory = ${path('state')}
cache directory = ${path('cache')}
pid directory = ${path('pid')}
ncalrpc dir = ${path('ncalrpc')}
ntlm auth = ntlmv2-only
lanman auth = no
disable netbios = yes
interfaces = lo
bind interfaces only = yes
logging = file
log file = ${folder.log}/winbind.%m
max log size = 0
log level = 1 auth:3
`,
  );
  const view = {
    samba: path('samba'),
    // The accounts must exist as Unix users.
    etc: { hosts: hostsOf(folder), passwd: passwdWith(folder, ALL_ACCOUNTS) },
  };
  const inside = (words: readonly string[]): string[] => privately(words, view);
  for (const { user, password } of ALL_ACCOUNTS) {
    const [program = '', ...words] = inside(['smbpasswd', '-c', configuration, '-L', '-a', '-s', user]);
    execFileSync(program, words, { input: `${password}\n${password}\n`, stdio: ['pipe', 'ignore', 'pipe'] });
  }
  const words = ['winbindd', '-F', '--no-process-group', '-s', configuration, '-l', folder.log];
  const isReady = async (): Promise<boolean> => {
    const [program = '', ...rest] = inside(['wbinfo', '-p']);
    return promisify(execFile)(program, rest).then(
      () => true,
      () => false,
    );
  };
  const daemon = await Daemon.start(inside(words), [], folder, { isReady });
  return {
    domain: NTLM_DOMAIN,
    configuration,
    samba: path('samba'),
    failedLogins: () =>
      readFileSync(`${folder.log}/log.wb-${NTLM_DOMAIN}`, 'latin1').split('FAILED with error').length - 1,
    daemon,
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}
