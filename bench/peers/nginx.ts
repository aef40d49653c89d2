import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Peer } from '../peer.ts';
import { versionOf } from './version-of.ts';

const STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so';

/**
 * Debian's nginx as a TCP relay, a lower bound of what a proxy costs. CONNECT is a matter of ngx_http_tunnel_module, which
 * came with nginx 1.31 and needs its core: no source package of Debian 12 (1.22) has it, and it does not build there.
 */
export const nginx: Peer = {
  name: 'nginx-relay',
  needs: [
    { name: 'nginx', command: 'nginx' },
    { name: 'libnginx-mod-stream', file: STREAM_MODULE },
  ],
  speaks: 'relay',
  settings:
    'a lower bound, not a proxy: its stream module relays TCP to the port that a PROXY header names; it parses no HTTP, decides nothing and answers nothing (CONNECT needs nginx 1.31); one process, buffers of 16 KiB, access log on',
  version: () => versionOf('nginx', '-v'),
  prepare({ folder, port }) {
    const file = join(folder, 'nginx.conf');
    writeFileSync(
      file,
      `load_module ${STREAM_MODULE};
${process.getuid?.() === 0 ? 'user root;\n' : ''}worker_processes 1;
worker_rlimit_nofile 20000;
daemon off;
pid ${join(folder, 'pid')};
events { worker_connections 16384; }
stream {
  log_format relayed '$remote_addr [$time_local] $proxy_protocol_server_port $status $bytes_sent $session_time';
  access_log ${join(folder, 'access.log')} relayed;
  server {
    listen 127.0.0.1:${port} proxy_protocol;
    proxy_pass 127.0.0.1:$proxy_protocol_server_port;
  }
}
`,
    );
    return { command: 'nginx', args: ['-e', join(folder, 'error.log'), '-c', file] };
  },
};
