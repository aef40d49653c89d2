import { readFileSync, readlinkSync } from 'node:fs';
import { parseIpWithZone } from '../protocol/addresses/ip-address.ts';
import { hexDigits, kernelAddress } from '../protocol/addresses/kernel-address.ts';

/** The kernel's tables of TCP sockets (proc(5)), by the length of an address. */
const TABLES = { 4: '/proc/net/tcp', 16: '/proc/net/tcp6' } as const;
/** TCP_LISTEN of include/net/tcp_states.h. */
const LISTENING = '0A';
/** Columns of a line, from the local address on. */
const STATE_COLUMN = 2;
const INODE_COLUMN = 8;

/** Whether a descriptor of this process is the socket that listens on this address: Node tells only of what it has opened. */
export function isListeningOn(fd: number, host: string, port: number): boolean {
  const address = parseIpWithZone(host);
  if (address === undefined) return false;
  const local = `${kernelAddress(address)}:${hexDigits(port, 4)}`;
  const table = textOf(() => readFileSync(TABLES[address.octets.length === 4 ? 4 : 16], 'latin1'));
  const inode = inodeIn(table, local);
  return inode !== undefined && textOf(() => readlinkSync(`/proc/self/fd/${fd}`)) === `socket:[${inode}]`;
}

function inodeIn(table: string, local: string): string | undefined {
  for (let at = table.indexOf(` ${local} `); at >= 0; at = table.indexOf(` ${local} `, at + 1)) {
    const columns = table.slice(at, table.indexOf('\n', at)).trim().split(/\s+/);
    if (columns[STATE_COLUMN] === LISTENING) return columns[INODE_COLUMN];
  }
  return undefined;
}

function textOf(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
