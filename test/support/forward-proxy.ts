import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { connect, type Socket } from 'node:net';

/** A forward proxy of a few lines over node:http, which shares no code with this one. */
export interface ForwardProxy extends AsyncDisposable {
  readonly port: number;
  /** What it requires: `name:password` in Basic. `undefined`: nothing. */
  login: string | undefined;
  /** Connections that it has accepted, and requests that it has let in. */
  readonly connections: number;
  readonly requests: number;
}

export async function forwardProxy(host = '127.0.0.1'): Promise<ForwardProxy> {
  const open = new Set<Socket>();
  const counts = { connections: 0, requests: 0 };
  let login: string | undefined;
  const isLetIn = (credentials: string | undefined): boolean => {
    const isGood = login === undefined || credentials === `Basic ${Buffer.from(login).toString('base64')}`;
    if (isGood) counts.requests += 1;
    return isGood;
  };
  const server = createServer((incoming, response) => {
    if (!isLetIn(incoming.headers['proxy-authorization'])) {
      response.writeHead(407, { 'Proxy-Authenticate': 'Basic realm="upstream"' }).end();
      return;
    }
    const { 'proxy-authorization': _, ...headers } = incoming.headers;
    const outgoing = request(incoming.url ?? '', { method: incoming.method, headers, agent: false }, (answer) => {
      const { connection: _, ...fields } = answer.headers;
      response.writeHead(answer.statusCode ?? 502, fields);
      answer.pipe(response);
    });
    outgoing.on('error', () => response.destroy());
    incoming.pipe(outgoing);
  });
  server.on('connection', (socket) => {
    counts.connections += 1;
    open.add(socket.once('close', () => open.delete(socket)));
  });
  server.on('connect', ({ url = '', headers }, client: Socket, head: Buffer) => {
    client.on('error', () => undefined);
    if (!isLetIn(headers['proxy-authorization'])) {
      return client.end('HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm="upstream"\r\nContent-Length: 0\r\n\r\n');
    }
    const { hostname, port } = new URL(`http://${url}`);
    const target = connect(Number(port || 80), hostname.replace(/^\[|\]$/g, ''), () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      target.write(head);
      client.pipe(target).pipe(client);
    });
    target.on('error', () => client.destroy()).on('close', () => client.destroy());
    client.on('close', () => target.destroy());
  });
  server.listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    get login() {
      return login;
    },
    set login(value) {
      login = value;
    },
    get connections() {
      return counts.connections;
    },
    get requests() {
      return counts.requests;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
