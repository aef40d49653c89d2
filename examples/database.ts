/**
 * PostgreSQL through a proxy, by a driver that knows nothing of proxies: `connectVia` opens a tunnel and gives a socket.
 * `node examples/database.ts http://localhost:3128 postgres://me:secret@db.corp.example/shop`, after `npm run build`.
 */
import type { Duplex } from 'node:stream';
import { Client } from 'pg';
import { connectVia } from 'viaduct';

const [proxy = 'http://localhost:3128', database = 'postgres://localhost/postgres'] = process.argv.slice(2);
const { hostname, port } = new URL(database);

/** The driver connects the stream that it is given, as a socket. A tunnel is connected already. */
const connected = (tunnel: Duplex): Duplex =>
  Object.assign(tunnel, {
    setNoDelay: () => tunnel,
    connect: () => {
      queueMicrotask(() => tunnel.emit('connect'));
      return tunnel;
    },
  });

const tunnel = await connectVia(proxy, `${hostname}:${port || 5432}`);
// TLS, where the database offers it, runs inside the tunnel: the proxy sees bytes only.
const client = new Client({ connectionString: database, stream: () => connected(tunnel) });
await client.connect();
const { rows } = await client.query('select 6 * 7 as answer');
console.log(`the answer is ${rows[0]?.answer}`);
await client.end();
