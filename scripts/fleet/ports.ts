import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';

/** Below are the ports of well-known services. */
const LOWEST = 10_000;
const TRIES_MAX = 1_000;
const RANGE_FILE = '/proc/sys/net/ipv4/ip_local_port_range';
/** Elsewhere: the first dynamic port of RFC 6335 §6, as macOS and Windows have it. */
const LOWEST_OF_IANA = 49_152;

/**
 * Ports on loopback without a listener, all different, and none that the kernel gives to a client: until a server listens, and
 * while it restarts, a connection of another program could otherwise take its port.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  const end = lowestOfClients();
  for (let tries = 0; servers.length < count && tries < TRIES_MAX; tries++) {
    // Where all ports are for clients, the kernel may as well choose.
    const server = createServer().listen(end > LOWEST ? randomInt(LOWEST, end) : 0, '127.0.0.1');
    const isListening = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (isListening) servers.push(server);
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  if (ports.length < count) throw new Error('there are not enough free ports on loopback');
  return ports;
}

function lowestOfClients(): number {
  if (!existsSync(RANGE_FILE)) return LOWEST_OF_IANA;
  return Number.parseInt(readFileSync(RANGE_FILE, 'utf8'), 10);
}
