import { lookup } from 'node:dns/promises';
import { closeSync, openSync } from 'node:fs';
import { devNull } from 'node:os';

/** Asks the system: it knows /etc/hosts, split DNS of a VPN and all else that this machine resolves names with. */
export async function systemLookup(host: string): Promise<readonly string[]> {
  try {
    return (await lookup(host, { all: true, order: 'verbatim' })).map((found) => found.address);
  } catch (cause) {
    throw noDescriptor() ?? cause;
  }
}

/**
 * Why no file can be opened now, if that is so. Without a descriptor the C library reads no /etc/hosts and asks no server,
 * and then says of every name that it does not exist.
 */
function noDescriptor(): unknown {
  try {
    closeSync(openSync(devNull, 'r'));
    return undefined;
  } catch (cause) {
    return cause;
  }
}
