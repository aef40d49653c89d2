import { closeSync, openSync, readSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { errorCode } from '../util/error-code.ts';

/** The network as this machine sees it. The texts are only compared. */
export interface NetworkSnapshot {
  readonly addresses: string;
  readonly routes: string;
  readonly resolver: string;
  /** When the system's proxy settings were written; `undefined`: that is not known (yet). */
  readonly settings?: string | undefined;
}

/** The default route and those of a VPN are at the beginning; a router with the full Internet table has a hundred megabytes. */
const FILE_BYTES_MAX = 65_536;
/** Files that list name servers; with systemd-resolved the first one lists only its own address. */
const RESOLVER_FILES = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'] as const;

/**
 * On systems other than Linux the addresses alone show a new network. `undefined`: it cannot be read now, e.g. since the
 * process has no descriptor left; that does not count as a change.
 */
export function networkSnapshot(): NetworkSnapshot | undefined {
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
 * Without link-local IPv6 addresses: the interface of each container that starts or stops has only such a one.
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

/** The columns RefCnt and Use of /proc/net/route count uses of a route, and change all the time. */
const ipv4Routes = (): string => withoutColumns(head('/proc/net/route'), 4, 5);
/** The same for /proc/net/ipv6_route, without routes of link-local addresses, which come and go with containers. */
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

/** No descriptor is left, of the process or of the system. */
const NO_DESCRIPTOR: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE']);
const buffer = Buffer.allocUnsafe(FILE_BYTES_MAX);

/**
 * The beginning of a file, read synchronously: these files are in memory, and another turn of the event loop costs more.
 * A file that cannot be opened is empty; without a descriptor left it throws.
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
    if (NO_DESCRIPTOR.has(errorCode(error))) throw error;
    return '';
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
