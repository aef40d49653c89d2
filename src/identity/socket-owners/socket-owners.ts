import type { TcpEnd } from '../../net/peer-uid.ts';
import { LinuxSocketOwners } from './linux-socket-owners.ts';
import { openWindowsSocketOwners } from './windows-socket-owners.ts';

/** Finds whose the sockets of this machine are. */
export interface SocketOwners {
  /** The user that runs this process, as `ownerOf` names users. */
  readonly self: string;
  /**
   * Whose socket is the `from` end of a connection to `to`; `undefined`: there is none, or no process has it any more. To be
   * asked when the connection is accepted.
   */
  ownerOf(from: TcpEnd, to: TcpEnd): string | undefined;
}

let opened: SocketOwners | { readonly unavailable: string } | undefined;

/** Those of this system, or why it cannot tell; the same at every call. */
export function openSocketOwners(): SocketOwners | { readonly unavailable: string } {
  opened ??= open();
  return opened;
}

function open(): SocketOwners | { readonly unavailable: string } {
  if (process.platform === 'linux') return new LinuxSocketOwners();
  if (process.platform === 'win32') return openWindowsSocketOwners();
  return { unavailable: 'this system does not tell whose a connection is' };
}
