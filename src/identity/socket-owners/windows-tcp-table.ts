import type { TcpEnd } from '../../net/peer-uid.ts';

/** Which process a socket was made by. */
export interface TableEntry {
  /** 0: of no process any more. */
  readonly pid: number;
  /** When the socket was made, as a FILETIME; 0: the system does not say it (Wine). */
  readonly madeAt: bigint;
}

/** Where a row of a table has its parts; ports are in network order. */
interface RowLayout {
  /** As GetExtendedTcpTable calls the family. */
  readonly family: number;
  readonly bytes: number;
  readonly addressBytes: number;
  readonly localAddress: number;
  readonly localPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  readonly pid: number;
  readonly madeAt: number;
}
/** MIB_TCPROW_OWNER_MODULE and MIB_TCP6ROW_OWNER_MODULE; behind these parts are 16 numbers of 64 bits about services. */
const ROWS: Readonly<Record<4 | 6, RowLayout>> = {
  4: {
    ...{ family: 2, bytes: 160, addressBytes: 4 },
    ...{ localAddress: 4, localPort: 8, remoteAddress: 12, remotePort: 16, pid: 20, madeAt: 24 },
  },
  6: {
    ...{ family: 23, bytes: 192, addressBytes: 16 },
    ...{ localAddress: 0, localPort: 20, remoteAddress: 24, remotePort: 44, pid: 52, madeAt: 56 },
  },
};
/** Before the first row, which has numbers of 64 bits, stands the count of rows. */
const ROWS_AT = 8;

export const familyOf = ({ address }: TcpEnd): number => ROWS[address.family].family;

/** The socket that is the `from` end of a connection to `to`, in the bytes of the table of its family. */
export function entryIn(table: Buffer, from: TcpEnd, to: TcpEnd): TableEntry | undefined {
  const layout = ROWS[from.address.family];
  const [own, other] = [Buffer.from(from.address.octets), Buffer.from(to.address.octets)];
  const count = table.readUInt32LE(0);
  for (let row = 0; row < count; row++) {
    const at = ROWS_AT + row * layout.bytes;
    if (at + layout.bytes > table.length) return undefined;
    const hasEnd = (address: Buffer, addressAt: number, port: number, portAt: number): boolean =>
      table.readUInt16BE(at + portAt) === port &&
      address.equals(table.subarray(at + addressAt, at + addressAt + layout.addressBytes));
    if (
      hasEnd(own, layout.localAddress, from.port, layout.localPort) &&
      hasEnd(other, layout.remoteAddress, to.port, layout.remotePort)
    )
      return { pid: table.readUInt32LE(at + layout.pid), madeAt: table.readBigUInt64LE(at + layout.madeAt) };
  }
  return undefined;
}
