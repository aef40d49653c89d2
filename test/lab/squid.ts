import { selfSigned } from '../support/certificate.ts';
import { Daemon, FAR_NAME, freePorts, LAB_USERS, LabFolder } from './daemon.ts';
import { apr1 } from './password.ts';

/** Debian's Squid as an upstream proxy: ports in the clear, with Basic, over TLS, and over TLS with a certificate for another name. */
export interface Squid extends AsyncDisposable {
  readonly plain: string;
  /** Wants a user of LAB_USERS. */
  readonly basicPort: number;
  readonly tls: string;
  readonly wrongName: string;
  /** Path of a PEM file: authorities of both certificates. */
  readonly ca: string;
  readonly daemon: Daemon;
}

export const WRONG_NAME = 'other.lab.test';

export async function startSquid(): Promise<Squid> {
  const folder = new LabFolder();
  const [plain = 0, basic = 0, tls = 0, wrong = 0] = await freePorts(4);
  const good = selfSigned(['localhost', '127.0.0.1']);
  const other = selfSigned([WRONG_NAME]);
  const file = (name: string, text: string) => folder.write(name, text);
  const goodPem = file('good.pem', good.cert);
  const wrongPem = file('wrong.pem', other.cert);
  const ca = file('ca.pem', good.cert + other.cert);
  const users = LAB_USERS.map(([user, password]) => `${user}:${apr1(password)}\n`).join('');
  const configuration = file(
    'squid.conf',
    `visible_hostname squid.lab.test
pid_filename none
cache_log ${folder.log}/cache.log
access_log stdio:${folder.log}/access.log
cache deny all
cache_mem 8 MB
memory_cache_shared off
sslproxy_session_cache_size 0
shutdown_lifetime 0 seconds
pinger_enable off
coredump_dir ${folder.log}
hosts_file ${file('hosts', `127.0.0.1 localhost ${FAR_NAME}\n`)}
dns_nameservers 127.0.0.1
dns_timeout 1 second
connect_timeout 3 seconds
http_port 127.0.0.1:${plain} name=plain
http_port 127.0.0.1:${basic} name=basic
https_port 127.0.0.1:${tls} name=tls tls-cert=${goodPem} tls-key=${file('good.key', good.key)}
https_port 127.0.0.1:${wrong} name=wrong tls-cert=${wrongPem} tls-key=${file('wrong.key', other.key)}
auth_param basic program /usr/lib/squid/basic_ncsa_auth ${file('users', users)}
auth_param basic realm lab
auth_param basic children 1 startup=1
acl outside dst 0.0.0.0-126.255.255.255 128.0.0.0-255.255.255.255 2000::/3 fc00::/7 fe80::/10
acl forbidden url_regex forbidden
acl open myportname plain tls wrong
acl user proxy_auth REQUIRED
http_access deny outside
http_access deny forbidden
http_access allow open
http_access allow user
http_access deny all
`,
  );
  // Each Squid of a machine needs another name.
  const words = ['squid', '-N', '-n', `viaduct${plain}`, '-f', configuration];
  const daemon = await Daemon.start(words, [plain, basic, tls, wrong], folder);
  return {
    plain: `http://127.0.0.1:${plain}`,
    basicPort: basic,
    tls: `https://localhost:${tls}`,
    wrongName: `https://localhost:${wrong}`,
    ca,
    daemon,
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}
