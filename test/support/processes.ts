import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Processes that `pid` has started and that live. Linux only. */
export const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number);

/** Which of `pids` holds the accepted end of a connection that was made from `clientPort` to `serverPort`, over IPv4. */
export function ownerOf(pids: readonly number[], clientPort: number, serverPort: number): number | undefined {
  const port = (number: number) => number.toString(16).toUpperCase().padStart(4, '0');
  const line = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .find((one) => new RegExp(`^ *\\d+: \\w+:${port(serverPort)} \\w+:${port(clientPort)} `).test(one));
  const inode = line?.trim().split(/\s+/)[9];
  return inode === undefined ? undefined : pids.find((pid) => socketsOf(pid).has(`socket:[${inode}]`));
}

function socketsOf(pid: number): ReadonlySet<string> {
  const folder = `/proc/${pid}/fd`;
  return new Set(
    readdirSync(folder).map((name) => {
      try {
        return readlinkSync(`${folder}/${name}`);
      } catch {
        return '';
      }
    }),
  );
}
