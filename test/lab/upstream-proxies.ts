/** Upstream proxies that require authentication: Debian's Squid, with every scheme that it has. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { ALL_ACCOUNTS } from './accounts.ts';
import { LabFolder } from './daemon.ts';
import type { Kdc } from './kdc.ts';
import { apr1 } from './password.ts';
import { type SquidUpstream, startSquidWith } from './squid-upstream.ts';
import type { Winbind } from './winbind.ts';

/** What the connection is like behind a 407. `closes`: it closes behind the 407 to a request without credentials. */
export interface UpstreamOptions {
  readonly after407?: 'keeps' | 'closes';
}

/** `closes` applies to every response here: Squid can close after a 407 alone only with NTLM and Negotiate. */
export function startBasicUpstream({ after407 = 'keeps' }: UpstreamOptions = {}): Promise<SquidUpstream> {
  const folder = new LabFolder();
  return startSquidWith(folder, { lines: [...basic(folder), ...persistence(after407)] });
}

/**
 * MD5, qop=auth. After `nonceUses` of a nonce it sends `nextnonce`, and soon after refuses the old one as stale:
 * with 3, the second use brings a `nextnonce`, and the fifth gets `stale=true`.
 */
export function startDigestUpstream({
  nonceUses = 1_000,
  after407 = 'keeps',
}: UpstreamOptions & { readonly nonceUses?: number } = {}): Promise<SquidUpstream> {
  const folder = new LabFolder();
  const lines = [...digest(folder), `auth_param digest nonce_max_count ${nonceUses}`, ...persistence(after407)];
  return startSquidWith(folder, { lines });
}

export function startNtlmUpstream(
  winbind: Winbind,
  { after407 = 'keeps' }: UpstreamOptions = {},
): Promise<SquidUpstream> {
  const keep = `auth_param ntlm keep_alive ${after407 === 'keeps' ? 'on' : 'off'}`;
  return startSquidWith(new LabFolder(), { lines: [...ntlm(winbind), keep], view: { samba: winbind.samba } });
}

/** Negotiate by Kerberos tickets alone, for HTTP/localhost and HTTP/PROXY_NAME. A token that comes twice is refused. */
export function startNegotiateUpstream(kdc: Kdc, { after407 = 'keeps' }: UpstreamOptions = {}): Promise<SquidUpstream> {
  const folder = new LabFolder();
  const keep = `auth_param negotiate keep_alive ${after407 === 'keeps' ? 'on' : 'off'}`;
  return startSquidWith(folder, {
    lines: [...negotiate(kerberosHelper(folder, kdc)), keep],
    environment: kdc.none,
  });
}

/** Negotiate that takes NTLM inside SPNEGO. */
export function startSpnegoNtlmUpstream(winbind: Winbind): Promise<SquidUpstream> {
  const lines = negotiate(`${ntlmAuth(winbind)} --helper-protocol=gss-spnego`);
  return startSquidWith(new LabFolder(), { lines, view: { samba: winbind.samba } });
}

/** Negotiate as Squid's handbook has it: Kerberos, or NTLM without SPNEGO around it. */
export function startEitherUpstream(winbind: Winbind, kdc: Kdc): Promise<SquidUpstream> {
  const folder = new LabFolder();
  const bareNtlm = `${ntlmAuth(winbind)} --helper-protocol=squid-2.5-ntlmssp`;
  const lines = negotiate(
    `${HELPERS}/negotiate_wrapper_auth --ntlm ${bareNtlm} --kerberos ${kerberosHelper(folder, kdc)}`,
  );
  return startSquidWith(folder, { lines, view: { samba: winbind.samba }, environment: kdc.none });
}

/** All four, weakest first, so that a client that takes the first one fails its test. */
export function startAllSchemesUpstream(winbind: Winbind, kdc: Kdc): Promise<SquidUpstream> {
  const folder = new LabFolder();
  const lines = [...basic(folder), ...digest(folder), ...ntlm(winbind), ...negotiate(kerberosHelper(folder, kdc))];
  return startSquidWith(folder, { lines, view: { samba: winbind.samba }, environment: kdc.none });
}

const HELPERS = '/usr/lib/squid';
const DIGEST_REALM = 'lab';

const persistence = (after407: 'keeps' | 'closes'): string[] =>
  after407 === 'closes' ? ['client_persistent_connections off'] : [];

function basic(folder: LabFolder): string[] {
  const users = ALL_ACCOUNTS.map(({ user, password }) => `${user}:${apr1(password)}\n`).join('');
  return [
    `auth_param basic program ${HELPERS}/basic_ncsa_auth ${folder.write('basic', users)}`,
    'auth_param basic realm lab',
    'auth_param basic children 2 startup=1',
  ];
}

function digest(folder: LabFolder): string[] {
  const hash = (text: string): string => createHash('md5').update(text).digest('hex');
  const users = ALL_ACCOUNTS.map(({ user, password }) => {
    const account = `${user}:${DIGEST_REALM}`;
    return `${account}:${hash(`${account}:${password}`)}\n`;
  });
  return [
    `auth_param digest program ${HELPERS}/digest_file_auth -c ${folder.write('digest', users.join(''))}`,
    `auth_param digest realm ${DIGEST_REALM}`,
    'auth_param digest children 2 startup=1',
    'auth_param digest check_nonce_count on',
  ];
}

const ntlmAuth = ({ configuration }: Winbind): string => `/usr/bin/ntlm_auth --configfile=${configuration}`;

const ntlm = (winbind: Winbind): string[] => [
  `auth_param ntlm program ${ntlmAuth(winbind)} --helper-protocol=squid-2.5-ntlmssp`,
  'auth_param ntlm children 20 startup=1 idle=1',
];

const negotiate = (helper: string): string[] => [
  `auth_param negotiate program ${helper}`,
  'auth_param negotiate children 20 startup=1 idle=1',
];

/** With a replay cache of its own, so that a token is good once. */
function kerberosHelper(folder: LabFolder, { keytab }: Kdc): string {
  const replays = `${folder.path}/replays`;
  mkdirSync(replays);
  execFileSync('chown', ['proxy', replays]);
  return `${HELPERS}/negotiate_kerberos_auth -i -k ${keytab} -s GSS_C_NO_NAME -c ${replays}`;
}
