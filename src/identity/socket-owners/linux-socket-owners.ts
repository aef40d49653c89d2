import { constants } from 'node:os';
import { socketUid, type TcpEnd } from '../../net/peer-uid.ts';
import { ProcTable, readOrEmpty } from './proc-table.ts';
import type { SocketOwners } from './socket-owners.ts';

/**
 * Asks the kernel for the one socket (sock_diag(7)), and reads its table of all sockets where that is not to be had: without the
 * addon, in a sandbox without netlink, with a kernel that lacks inet_diag.
 */
export class LinuxSocketOwners implements SocketOwners {
  readonly self = String(process.getuid?.());
  readonly #table: ProcTable;
  readonly #ask: typeof socketUid;
  /** Set when the kernel has found a socket: one without inet_diag says the same as one that has no such socket. */
  #hasFound = false;

  constructor(ask: typeof socketUid = socketUid, read: (path: string) => string = readOrEmpty) {
    this.#ask = ask;
    this.#table = new ProcTable(read);
  }

  ownerOf(from: TcpEnd, to: TcpEnd): string | undefined {
    const uid = this.#ask(from, to);
    if (uid !== undefined && uid >= 0) {
      this.#hasFound = true;
      return String(uid);
    }
    if (uid === -constants.errno.ENOENT && this.#hasFound) return undefined;
    const found = this.#table.ownerOf(from, to);
    return found === undefined ? undefined : String(found);
  }
}
