import type { TcpEnd } from '../../net/peer-uid.ts';

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
