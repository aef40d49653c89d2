import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Peer } from '../peer.ts';
import { versionOf } from './version-of.ts';

const OWN_FOLDERS = ['sysconfdir', 'runtimedir', 'logdir', 'cachedir', 'localstatedir', 'datadir'];

const RECORDS: Readonly<Record<string, string>> = {
  'http.cache.http': 'INT 0',
  'http.connect_ports': 'STRING *',
  'url_remap.remap_required': 'INT 0',
  'reverse_proxy.enabled': 'INT 0',
  'http.insert_request_via_str': 'INT 1',
  'admin.user_id': 'STRING #-1',
  'hostdb.host_file.path': 'STRING NULL',
  'log.logging_enabled': 'INT 3',
};

const LOGGING = `logging:
  formats:
    - { name: common, format: '%<chi> [%<cqtn>] "%<cqtx>" %<pssc> %<pscl>' }
  logs:
    - { filename: access, format: common }
`;

const ALLOW = `ip_allow:
  - { apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL }
`;

export const trafficServer: Peer = {
  name: 'trafficserver',
  needs: [{ name: 'trafficserver', command: 'traffic_server' }],
  settings: 'cache off; access log on; as many threads as it chooses',
  version: () => versionOf('traffic_server', '--version'),
  prepare({ folder, port }) {
    for (const name of OWN_FOLDERS) mkdirSync(join(folder, name));
    const layout = [
      'prefix: /usr',
      'exec_prefix: /usr',
      'bindir: /usr/bin',
      'sbindir: /usr/bin',
      'includedir: /usr/include',
      'libdir: /usr/lib/trafficserver',
      'libexecdir: /usr/lib/trafficserver/modules',
      ...OWN_FOLDERS.map((name) => `${name}: ${join(folder, name)}`),
    ];
    const root = join(folder, 'runroot.yaml');
    writeFileSync(root, `${layout.join('\n')}\n`);
    const records = { ...RECORDS, 'http.server_ports': `STRING ${port}:ip-in=127.0.0.1` };
    const lines = Object.entries(records).map(([name, value]) => `CONFIG proxy.config.${name} ${value}\n`);
    writeFileSync(join(folder, 'sysconfdir/records.config'), lines.join(''));
    writeFileSync(join(folder, 'sysconfdir/logging.yaml'), LOGGING);
    writeFileSync(join(folder, 'sysconfdir/ip_allow.yaml'), ALLOW);
    for (const name of ['remap', 'plugin', 'storage', 'ssl_multicert', 'cache', 'parent', 'volume', 'hosting'])
      writeFileSync(join(folder, `sysconfdir/${name}.config`), '');
    return { command: 'traffic_server', args: [], env: { TS_RUNROOT: root } };
  },
};
