import { selfSigned } from '../support/certificate.ts';
import { AccessLog, LOG_FORMAT } from './access-log.ts';
import { Daemon, freePorts, type LabFolder } from './daemon.ts';
import { hostsOf, type PrivateView, privately } from './private.ts';

/** Squid that requires authentication. Both ports offer the same schemes. */
export interface SquidUpstream extends AsyncDisposable {
  readonly url: string;
  /** Over TLS, with a certificate for localhost, 127.0.0.1 and PROXY_NAME. */
  readonly tlsUrl: string;
  readonly port: number;
  readonly tlsPort: number;
  /** Path of a PEM file: authority of the certificate. */
  readonly ca: string;
  readonly log: AccessLog;
  readonly daemon: Daemon;
}

/** A name of a proxy for certificates and tickets: resolved by a test's own resolver only. */
export const PROXY_NAME = 'proxy.lab.test';

export interface SquidSettings {
  /** Lines of squid.conf: `auth_param` and others. */
  readonly lines: readonly string[];
  readonly view?: Omit<PrivateView, 'etc'>;
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * A Squid with `lines`; destinations outside this machine stay forbidden. Its buffer for uploads is
 * large: Squid 5 takes a full one for the end of its client, and drops one upload in fifty at the speed of loopback.
 */
export async function startSquidWith(folder: LabFolder, settings: SquidSettings): Promise<SquidUpstream> {
  const { lines, view = {}, environment = {} } = settings;
  const [port = 0, tlsPort = 0] = await freePorts(2);
  const { cert, key } = selfSigned(['localhost', '127.0.0.1', PROXY_NAME]);
  const ca = folder.write('tls.pem', cert);
  const hosts = hostsOf(folder);
  const access = `${folder.log}/access.log`;
  const configuration = folder.write(
    'squid.conf',
    `visible_hostname squid.lab.test
pid_filename none
cache_log ${folder.log}/cache.log
logformat ${LOG_FORMAT}
access_log stdio:${access} lab
cache deny all
cache_mem 8 MB
memory_cache_shared off
sslproxy_session_cache_size 0
shutdown_lifetime 0 seconds
pinger_enable off
coredump_dir ${folder.log}
max_filedescriptors 4096
client_request_buffer_max_size 64 MB
hosts_file ${hosts}
dns_nameservers 127.0.0.1
dns_timeout 1 second
connect_timeout 3 seconds
http_port 127.0.0.1:${port}
https_port 127.0.0.1:${tlsPort} tls-cert=${ca} tls-key=${folder.write('tls.key', key)}
${lines.join('\n')}
acl outside dst 0.0.0.0-126.255.255.255 128.0.0.0-255.255.255.255 2000::/3 fc00::/7 fe80::/10
acl user proxy_auth REQUIRED
http_access deny outside
http_access allow user
http_access deny all
`,
  );
  // Each Squid of a machine needs another name.
  const words = privately(['squid', '-N', '-n', `viaduct${port}`, '-f', configuration], { ...view, etc: { hosts } });
  const daemon = await Daemon.start(words, [port, tlsPort], folder, { environment });
  return {
    url: `http://127.0.0.1:${port}`,
    tlsUrl: `https://localhost:${tlsPort}`,
    port,
    tlsPort,
    ca,
    log: new AccessLog(access),
    daemon,
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}
