import { hostname } from 'node:os';
import { readFileBounded } from '../files/read-file.ts';
import { parseIpWithZone } from '../protocol/addresses/ip-address.ts';
import type { ListenAddresses } from './listen-addresses.ts';

/** The names of this machine, as the system reports them. */
export interface MachineNames {
  hostName(): string;
  /** Text of /etc/hosts; empty where there is none. */
  hostsFile(): string;
}

/**
 * Whether a host is this machine, as far as that is certain without DNS: one of its literal addresses, or exactly one of
 * its names. A name below one of them is not: the owner of `example` can point `THIS-NAME.example` at this address, and
 * its pages would then count as those of the proxy. `configuredNames` are the names that listeners are configured with.
 * Takes a parsed host.
 */
export function localNames(
  addresses: Pick<ListenAddresses, 'isThisMachine'>,
  configuredNames: readonly string[],
  machine: MachineNames = SYSTEM,
): (host: string) => boolean {
  const configured = new Set(configuredNames.map(withoutRootDot));
  return (host) => {
    const address = parseIpWithZone(host);
    if (address !== undefined) return addresses.isThisMachine(address);
    const requested = withoutRootDot(host);
    const name = withoutRootDot(machine.hostName());
    const label = name.replace(/\..*$/s, '');
    // `.local` is the name of this machine in multicast DNS (RFC 6762 §3), which no name server can assign.
    if (requested === 'localhost' || requested === name || requested === label || requested === `${label}.local`)
      return true;
    return configured.has(requested) || namesBeside(name, machine.hostsFile()).includes(requested);
  };
}

const withoutRootDot = (name: string): string => name.toLowerCase().replace(/\.$/, '');

/** Names on the lines with `name`, which have its domain as well: `127.0.1.1 pc.corp.example pc`. */
function namesBeside(name: string, hostsFile: string): string[] {
  const lines = hostsFile.toLowerCase().split('\n');
  return lines
    .map((line) => line.replace(/#.*/, '').trim().split(/\s+/).slice(1))
    .filter((names) => names.includes(name))
    .flat();
}

/** Enough for a few names; files that block advertisements are larger, and do not name this machine. */
const HOSTS_BYTES_MAX = 256 * 1024;

const SYSTEM: MachineNames = {
  hostName: hostname,
  hostsFile() {
    try {
      return readFileBounded('/etc/hosts', { bytesMax: HOSTS_BYTES_MAX, pipes: 'refuse' }).toString('latin1');
    } catch {
      // Without the file this machine has only the names above.
      return '';
    }
  },
};
