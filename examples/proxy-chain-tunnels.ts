/** `createTunnel` of proxy-chain, for examples/proxy-chain.ts. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { connectVia } from 'viaduct';

export function checkPort(port: number): void {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return;
  throw new Error('The "port" option must be an integer between 0 and 65535');
}

const tunnels = new Map<string, { readonly close: (all: boolean) => Promise<void> }>();

/** A local port each of whose connections leads to `host:port` through a proxy. */
export async function createTunnel(
  proxyUrl: string,
  target: string,
  { port = 0, hostname = '' }: { port?: number; hostname?: string } = {},
) {
  const host = hostname || '127.0.0.1';
  const { protocol } = new URL(proxyUrl);
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new Error(`The proxy URL must have the "http" or "https" protocol (was "${proxyUrl}")`);
  }
  const to = new URL(`connect://${target || ''}`);
  if (!to.hostname) throw new Error('Missing target hostname');
  if (!to.port) throw new Error('Missing target port');
  checkPort(port);
  if (!/^(?:localhost|127\..*|::1)$/.test(host)) {
    process.emitWarning(`others can reach the tunnel on ${host}, which asks for no login`, 'ProxyChainSecurityWarning');
  }
  const clients = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, async (client) => {
    clients.add(client);
    client.on('error', () => client.destroy()).once('close', () => clients.delete(client));
    try {
      const far = await connectVia(proxyUrl, target, { allowHalfOpen: true });
      client.once('close', () => far.destroy());
      far.on('error', () => client.destroy()).once('close', () => client.destroy());
      client.pipe(far).pipe(client);
    } catch {
      client.destroy();
    }
  });
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  const shown = host.includes(':') ? `[${host}]` : host;
  const own = typeof address === 'object' && address !== null ? `${shown}:${address.port}` : '';
  tunnels.set(own, {
    async close(all) {
      const closed = once(server, 'close');
      server.close();
      if (all) for (const client of clients) client.destroy();
      await closed;
    },
  });
  return own;
}

export async function closeTunnel(address: string, closeConnections = false): Promise<boolean> {
  const tunnel = tunnels.get(address);
  tunnels.delete(address);
  await tunnel?.close(closeConnections);
  return tunnel !== undefined;
}
