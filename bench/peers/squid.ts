import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Peer } from '../peer.ts';
import { versionOf } from './version-of.ts';

/** With more lines of squid.conf. */
export const squidWith = (more: string): Peer => ({
  name: 'squid',
  needs: [{ name: 'squid', command: 'squid' }],
  settings: 'one process; cache off; access log on; no pinger',
  version: () => versionOf('squid', '-v'),
  prepare({ folder, port }) {
    const file = join(folder, 'squid.conf');
    writeFileSync(
      file,
      `http_port 127.0.0.1:${port}
pid_filename none
cache deny all
cache_mem 8 MB
access_log stdio:${join(folder, 'access.log')}
cache_log ${join(folder, 'cache.log')}
coredump_dir ${folder}
pinger_enable off
shutdown_lifetime 0 seconds
max_filedescriptors 16384
http_access allow localhost
http_access deny all
${more}`,
    );
    // `-n` names its shared memory, which a Squid of the system must not share.
    return { command: 'squid', args: ['-N', '-n', `bench${port}`, '-f', file] };
  },
});

export const squid: Peer = squidWith('');
