import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Peer } from '../peer.ts';
import { versionOf } from './version-of.ts';

const MODULES = ['mpm_event', 'authz_core', 'authz_host', 'proxy', 'proxy_http', 'proxy_connect'];

export const apache: Peer = {
  name: 'apache',
  needs: [{ name: 'apache2', command: 'apache2' }],
  settings: 'mod_proxy and mod_proxy_connect on mpm_event, up to 16 processes of 256 threads; access log on',
  version: () => versionOf('apache2', '-v'),
  prepare({ folder, port }) {
    const file = join(folder, 'apache.conf');
    const user = process.getuid?.() === 0 ? 'User www-data\nGroup www-data\n' : '';
    writeFileSync(
      file,
      `${MODULES.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so\n`).join('')}${user}ServerName bench
Listen 127.0.0.1:${port}
ServerRoot ${folder}
DefaultRuntimeDir ${folder}
PidFile ${join(folder, 'pid')}
ErrorLog ${join(folder, 'error.log')}
LogFormat "%h %l %u %t \\"%r\\" %>s %b" common
CustomLog ${join(folder, 'access.log')} common
StartServers 2
ServerLimit 16
ThreadLimit 256
ThreadsPerChild 256
MaxRequestWorkers 4096
KeepAlive On
MaxKeepAliveRequests 0
ProxyRequests On
ProxyVia On
AllowCONNECT 1-65535
<Proxy "*">
  Require local
</Proxy>
`,
    );
    return { command: 'apache2', args: ['-DFOREGROUND', '-f', file] };
  },
};
