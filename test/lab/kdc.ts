import { execFileSync } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';
import { ACCOUNTS, ALL_ACCOUNTS, type LabAccount } from './accounts.ts';
import { Daemon, freePorts, LabFolder } from './daemon.ts';
import { PROXY_NAME } from './squid-upstream.ts';

/** MIT's key distribution centre, and tickets of alice. */
export interface Kdc extends AsyncDisposable {
  /** Keys of HTTP/localhost and HTTP/PROXY_NAME, for Squid's helper. */
  readonly keytab: string;
  /** For clients with tickets of alice that are good for an hour, without any, and with some that have run out. */
  readonly good: KerberosEnvironment;
  readonly none: KerberosEnvironment;
  expired(): Promise<KerberosEnvironment>;
  /** A new ticket cache, as `kinit` makes it; gives what KRB5CCNAME is to be. */
  kinit(account: LabAccount, lifetime?: string): string;
  /** Freezing it (`kill('SIGSTOP')`) makes a KDC that accepts connections and does not respond. */
  readonly daemon: Daemon;
}
export interface KerberosEnvironment extends Readonly<Record<string, string>> {
  readonly KRB5_CONFIG: string;
  readonly KRB5CCNAME: string;
}

export const REALM = 'LAB.TEST';
/** The KDC gives tickets for it, but no proxy of the lab has its key. */
export const FOREIGN_NAME = 'foreign.lab.test';
/** Tickets of 1 s have run out by then: they are compared in whole seconds. */
const EXPIRED_MS = 2_100;

export async function startKdc(): Promise<Kdc> {
  const folder = new LabFolder();
  const [port = 0] = await freePorts(1);
  const path = (name: string): string => `${folder.path}/${name}`;
  const environment = {
    PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
    KRB5_CONFIG: folder.write(
      'krb5.conf',
      `[libdefaults]
default_realm = ${REALM}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
[realms]
${REALM} = {
  kdc = 127.0.0.1:${port}
}
[domain_realm]
.lab.test = ${REALM}
localhost = ${REALM}
127.0.0.1 = ${REALM}
`,
    ),
    KRB5_KDC_PROFILE: folder.write(
      'kdc.conf',
      `[kdcdefaults]
kdc_listen = 127.0.0.1:${port}
kdc_tcp_listen = 127.0.0.1:${port}
[realms]
${REALM} = {
  database_name = ${path('principal')}
  key_stash_file = ${path('stash')}
  acl_file = ${path('acl')}
  max_life = 12h
  supported_enctypes = aes256-cts:normal
}
[logging]
kdc = FILE:${folder.log}/kdc.log
default = FILE:${folder.log}/kdc.log
`,
    ),
  };
  const call = (program: string, words: readonly string[], input = ''): void => {
    execFileSync(program, words, { env: environment, input, stdio: ['pipe', 'ignore', 'pipe'] });
  };
  call('kdb5_util', ['create', '-s', '-r', REALM, '-P', 'lab-master-key']);
  const keytab = path('squid.keytab');
  const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  call(
    'kadmin.local',
    [],
    [
      ...ALL_ACCOUNTS.map(({ user, password }) => `addprinc -pw ${quoted(password)} ${user}`),
      ...['localhost', PROXY_NAME, FOREIGN_NAME].map((name) => `addprinc -randkey HTTP/${name}`),
      ...['localhost', PROXY_NAME].map((name) => `ktadd -k ${keytab} HTTP/${name}`),
      '',
    ].join('\n'),
  );
  execFileSync('chown', ['proxy', keytab]);
  const daemon = await Daemon.start(['krb5kdc', '-n'], [port], folder, { environment });
  let caches = 0;
  const kinit = ({ user, password }: LabAccount, lifetime = '1h'): string => {
    const cache = `FILE:${path(`tickets-${++caches}`)}`;
    call('kinit', ['-l', lifetime, '-c', cache, user], `${password}\n`);
    return cache;
  };
  const at = (KRB5CCNAME: string): KerberosEnvironment => ({ KRB5_CONFIG: environment.KRB5_CONFIG, KRB5CCNAME });
  try {
    const short = kinit(ACCOUNTS.alice, '1s');
    const expiredMs = performance.now() + EXPIRED_MS;
    const good = at(kinit(ACCOUNTS.alice));
    const none = at(`FILE:${path('no-tickets')}`);
    return {
      keytab,
      good,
      none,
      async expired() {
        await wait(Math.max(0, expiredMs - performance.now()));
        return at(short);
      },
      kinit,
      daemon,
      [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
    };
  } catch (error) {
    await daemon[Symbol.asyncDispose]();
    throw error;
  }
}
