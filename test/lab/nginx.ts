import { mkdirSync } from 'node:fs';
import { selfSigned } from '../support/certificate.ts';
import { Daemon, FAR_NAME, freePorts, LabFolder } from './daemon.ts';

/** nginx as the destination, in the clear and over TLS. `GET /` is "origin-ok", `PUT /up/NAME` keeps a file. */
export interface Nginx extends AsyncDisposable {
  readonly port: number;
  readonly tlsPort: number;
  /** Path of a PEM file: authority of its certificate, which is for localhost, 127.0.0.1 and FAR_NAME. */
  readonly ca: string;
  readonly daemon: Daemon;
}

export async function startNginx(): Promise<Nginx> {
  const folder = new LabFolder();
  const [port = 0, tlsPort = 0] = await freePorts(2);
  const { cert, key } = selfSigned(['localhost', '127.0.0.1', FAR_NAME]);
  const ca = folder.write('tls.pem', cert);
  const temporary = ['body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name === 'body' ? 'client_body' : name}_temp_path ${folder.log}/${name};`)
    .join(' ');
  mkdirSync(`${folder.path}/www/up`, { recursive: true });
  const configuration = folder.write(
    'nginx.conf',
    `${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
daemon off;
pid ${folder.log}/nginx.pid;
events { worker_connections 512; }
http {
  access_log off;
  ${temporary}
  client_max_body_size 64m;
  default_type text/plain;
  server {
    listen 127.0.0.1:${port};
    listen 127.0.0.1:${tlsPort} ssl;
    ssl_certificate ${ca};
    ssl_certificate_key ${folder.write('tls.key', key)};
    root ${folder.path}/www;
    location = / { return 200 "origin-ok\\n"; }
    location = /seen { return 200 "proxy-authorization=[$http_proxy_authorization] host=[$http_host]\\n"; }
    location /up/ { dav_methods PUT; }
  }
}
`,
  );
  const words = ['nginx', '-e', `${folder.log}/error.log`, '-c', configuration];
  const daemon = await Daemon.start(words, [port, tlsPort], folder);
  return { port, tlsPort, ca, daemon, [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose]() };
}
