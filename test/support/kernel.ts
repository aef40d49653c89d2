import { readFileSync } from 'node:fs';

/** Whether Linux still knows a connection of this machine at a local port: after a reset it does not, after a FIN it does. */
export function isConnected(localPort = 0): boolean {
  const place = `:${localPort.toString(16).toUpperCase().padStart(4, '0')}`;
  return ['tcp', 'tcp6'].some((family) =>
    readFileSync(`/proc/self/net/${family}`, 'utf8')
      .split('\n')
      .some((line) => line.trim().split(/\s+/)[1]?.endsWith(place)),
  );
}
