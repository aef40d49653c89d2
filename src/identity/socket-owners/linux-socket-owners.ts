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
  /**
   * What the first connection has shown: a kernel without inet_diag says the same as one that has no such socket. It is not asked
   * again, since it looks for a module at each question, and the loop waits for that.
   */
  #kernel: 'untried' | 'answers' | 'useless' = 'untried';

  constructor(ask: typeof socketUid = socketUid, read: (path: string) => string = readOrEmpty) {
    this.#ask = ask;
    this.#table = new ProcTable(read);
  }

  ownerOf(from: TcpEnd, to: TcpEnd): string | undefined {
    const uid = this.#kernel === 'useless' ? undefined : this.#ask(from, to);
    if (uid !== undefined && uid >= 0) {
      this.#kernel = 'answers';
      return String(uid);
    }
    if (uid === -constants.errno.ENOENT && this.#kernel === 'answers') return undefined;
    const found = this.#table.ownerOf(from, to);
    if (found === undefined) return undefined;
    if (this.#kernel === 'untried') this.#kernel = 'useless';
    return String(found);
  }
}

/** A user namespace that has all users of the machine, as the first one has. */
const ALL_USERS = /^\s*0\s+0\s+4294967295\s*$/;

/**
 * In a user namespace all users that it does not have appear as one (user_namespaces(7)). Where this process runs as
 * that one, as in many containers, all of them would be of the same user.
 */
export function openLinuxSocketOwners(
  read: (path: string) => string = readOrEmpty,
  uid: number | undefined = process.getuid?.(),
): SocketOwners | { readonly unavailable: string } {
  const isNameOfOthers = uid === Number.parseInt(read('/proc/sys/kernel/overflowuid'), 10);
  return isNameOfOthers && !ALL_USERS.test(read('/proc/self/uid_map'))
    ? { unavailable: `in this user namespace ${uid} is the number of all other users too` }
    : new LinuxSocketOwners();
}
