import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Both ends of a connection of this machine. */
export interface Ports {
  readonly localPort?: number | undefined;
  readonly remotePort?: number | undefined;
}

/**
 * Whether Linux still has a connection of this machine in its table: after a reset it has not, after a FIN it has. Found by
 * both ports: earlier connections from the same local port stay in TIME-WAIT for a minute. `ss` filters inside the kernel;
 * after thousands of connections, reading the whole table takes longer than tests wait.
 */
export function isConnected({ localPort = 0, remotePort = 0 }: Ports): boolean {
  const filter = `sport = :${localPort} and dport = :${remotePort}`;
  const { status, stdout } = spawnSync('ss', ['-Htan', filter], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() !== '' : isListed(localPort, remotePort);
}

/** Whether keep-alive probes are on for the other end of this connection: the end that the proxy has. */
export function hasProbes({ localPort = 0, remotePort = 0 }: Ports): boolean {
  const filter = `sport = :${remotePort} and dport = :${localPort}`;
  return spawnSync('ss', ['-Htano', filter], { encoding: 'utf8' }).stdout.includes('timer:(keepalive');
}

function isListed(...ports: readonly [localPort: number, remotePort: number]): boolean {
  const [here = '', there = ''] = ports.map((port) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`);
  return ['tcp', 'tcp6'].some((family) =>
    readFileSync(`/proc/self/net/${family}`, 'utf8')
      .split('\n')
      .some((line) => {
        const [, local = '', remote = ''] = line.trim().split(/\s+/);
        return local.endsWith(here) && remote.endsWith(there);
      }),
  );
}

/** What Linux may keep for the two connections of one tunnel: what each side has sent, and not yet read. */
export function tunnelBufferBytesMax(): number {
  const most = (name: string) => Number(readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').trim().split(/\s+/)[2]);
  return 2 * (most('tcp_rmem') + most('tcp_wmem'));
}
