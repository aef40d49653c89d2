import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Peer } from '../peer.ts';
import { versionOf } from './version-of.ts';

export const tinyproxy: Peer = {
  name: 'tinyproxy',
  needs: [{ name: 'tinyproxy-bin', command: 'tinyproxy' }],
  settings: 'log level Connect to a file; a thread per connection; it keeps no connection open',
  version: () => versionOf('tinyproxy', '-v'),
  prepare({ folder, port }) {
    const file = join(folder, 'tinyproxy.conf');
    writeFileSync(
      file,
      `Port ${port}
Listen 127.0.0.1
Timeout 600
LogFile "${join(folder, 'access.log')}"
LogLevel Connect
MaxClients 8192
Allow 127.0.0.1
`,
    );
    return { command: 'tinyproxy', args: ['-d', '-c', file] };
  },
};
