import { closeSync, openSync, readSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

/** What the network looks like from here. Texts that mean nothing but that they differ. */
export interface NetworkSight {
  readonly addresses: string;
  readonly routes: string;
  readonly resolver: string;
}

/**
 * The default route and those of a VPN stand at the beginning; a router that carries the whole Internet has a hundred
 * megabytes of them.
 */
const FILE_BYTES_MAX = 65_536;
/** Where name servers are written down; systemd-resolved writes nothing but itself into the first. */
const RESOLVER_FILES = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'] as const;

/**
 * On systems other than Linux the addresses tell: a new network brings another one. `undefined`: nothing can be seen
 * now, e.g. since the process has no descriptor left, and that is no change.
 */
export function networkSight(): NetworkSight | undefined {
  try {
    return {
      addresses: addressesOf(networkInterfaces()),
      routes: process.platform === 'linux' ? `${ipv4Routes()}${ipv6Routes()}` : '',
      resolver: process.platform === 'win32' ? '' : RESOLVER_FILES.map(head).join('\0'),
    };
  } catch {
    return undefined;
  }
}

/**
 * Without link-local IPv6: each container that starts or stops brings an interface that has nothing else.
 * Exported for its test.
 */
export function addressesOf(interfaces: ReturnType<typeof networkInterfaces>): string {
  let all = '';
  for (const name of Object.keys(interfaces).sort()) {
    for (const { address, netmask, mac } of interfaces[name] ?? []) {
      if (!/^fe[89ab]/i.test(address)) all += `${name} ${address} ${netmask} ${mac}\n`;
    }
  }
  return all;
}

/** Columns of /proc/net/route that count uses of a route change all the time: RefCnt and Use. */
const ipv4Routes = (): string => withoutColumns(head('/proc/net/route'), 4, 5);
/** The same in /proc/net/ipv6_route, whose routes of link-local addresses come and go with containers. */
const ipv6Routes = (): string =>
  withoutColumns(
    head('/proc/net/ipv6_route')
      .split('\n')
      .filter((line) => !/^f[ef]/.test(line))
      .join('\n'),
    6,
    7,
  );

/** Exported for its test. */
export function withoutColumns(table: string, ...columns: readonly number[]): string {
  return table
    .split('\n')
    .map((line) =>
      line
        .trim()
        .split(/\s+/)
        .filter((_, at) => !columns.includes(at))
        .join(' '),
    )
    .join('\n');
}

/** Of the process, and of the system. */
const NO_DESCRIPTOR: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE']);
const buffer = Buffer.allocUnsafe(FILE_BYTES_MAX);

/**
 * The beginning of a file, in one system call or two: these are no disks, and a turn of the loop costs more. A file that
 * is not there is empty; one that cannot be opened for another reason throws.
 */
function head(path: string): string {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    let length = 0;
    for (let got = -1; got !== 0 && length < FILE_BYTES_MAX; length += got)
      got = readSync(file, buffer, length, FILE_BYTES_MAX - length, null);
    return buffer.toString('latin1', 0, length);
  } catch (error) {
    if (error instanceof Error && 'code' in error && NO_DESCRIPTOR.has(error.code)) throw error;
    return '';
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
