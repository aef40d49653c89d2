import { createRequire } from 'node:module';
import type { TcpEnd } from '../../net/peer-uid.ts';
import type { SocketOwners } from './socket-owners.ts';

type Koffi = typeof import('koffi');

/** Families and tables of GetExtendedTcpTable. */
const AF_INET = 2;
const AF_INET6 = 23;
const TCP_TABLE_OWNER_PID_CONNECTIONS = 4;
const NO_ERROR = 0;
const ERROR_INSUFFICIENT_BUFFER = 122;
/** The table grows while it is asked for; each time by more than was missing. */
const TRIES = 5;
const SPARE_BYTES = 4_096;

const PROCESS_QUERY_LIMITED_INFORMATION = 0x1000;
const TOKEN_QUERY = 8;
const TOKEN_USER = 1;
/** A TOKEN_USER for 64 bits (a pointer and flags), and the longest SID behind it. */
const TOKEN_USER_HEAD_BYTES = 16;
const TOKEN_USER_BYTES = TOKEN_USER_HEAD_BYTES + 68;

/** Where a row of the table has its parts; ports are in network order. */
interface RowLayout {
  readonly family: number;
  readonly bytes: number;
  readonly addressBytes: number;
  readonly localAddress: number;
  readonly localPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
  readonly pid: number;
}
/** MIB_TCPROW_OWNER_PID and MIB_TCP6ROW_OWNER_PID. */
const ROWS: Readonly<Record<4 | 6, RowLayout>> = {
  4: {
    ...{ family: AF_INET, bytes: 24, addressBytes: 4 },
    ...{ localAddress: 4, localPort: 8, remoteAddress: 12, remotePort: 16, pid: 20 },
  },
  6: {
    ...{ family: AF_INET6, bytes: 56, addressBytes: 16 },
    ...{ localAddress: 0, localPort: 20, remoteAddress: 24, remotePort: 44, pid: 52 },
  },
};
/** Before the first row stands their number. */
const ROWS_AT = 4;

/** The process whose socket is the `from` end of a connection to `to`, in the bytes of a table. 0: of no process any more. */
export function pidIn(table: Buffer, from: TcpEnd, to: TcpEnd): number | undefined {
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
      return table.readUInt32LE(at + layout.pid);
  }
  return undefined;
}

/** A SID (its bytes begin at `at`) as Windows writes it: `S-1-5-21-…`. */
export function sidIn(bytes: Buffer, at: number): string {
  const parts = Array.from({ length: bytes.readUInt8(at + 1) }, (_, part) => bytes.readUInt32LE(at + 8 + 4 * part));
  return ['S', bytes.readUInt8(at), bytes.readUIntBE(at + 2, 6), ...parts].join('-');
}

/** Loads what it calls, or returns why it cannot. */
export function openWindowsSocketOwners(): SocketOwners | { readonly unavailable: string } {
  try {
    const koffi: Koffi = createRequire(import.meta.url)('koffi');
    return new WindowsSocketOwners(koffi);
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    return { unavailable: `the package koffi, which calls Windows, does not work on this machine: ${why}` };
  }
}

/** The table of TCP connections (iphlpapi.dll) names a process, and its token names the user (advapi32.dll). */
class WindowsSocketOwners implements SocketOwners {
  readonly self: string;
  readonly #calls: ReturnType<typeof declareCalls>;

  /** Throws where this process cannot learn even its own user. */
  constructor(koffi: Koffi) {
    this.#calls = declareCalls(koffi);
    const self = this.#userOf(process.pid);
    if (self === undefined) throw new Error('Windows does not tell the user of this process');
    this.self = self;
  }

  ownerOf(from: TcpEnd, to: TcpEnd): string | undefined {
    if (from.address.family !== to.address.family) return undefined;
    const table = this.#table(ROWS[from.address.family].family);
    const pid = table && pidIn(table, from, to);
    return pid === undefined || pid === 0 ? undefined : this.#userOf(pid);
  }

  #table(family: number): Buffer | undefined {
    let bytes = Buffer.alloc(SPARE_BYTES);
    for (let tried = 0; tried < TRIES; tried++) {
      const size = Buffer.alloc(4);
      size.writeUInt32LE(bytes.length);
      const status = this.#calls.tcpTable(bytes, size, 0, family, TCP_TABLE_OWNER_PID_CONNECTIONS, 0);
      if (status === NO_ERROR) return bytes;
      if (status !== ERROR_INSUFFICIENT_BUFFER) return undefined;
      bytes = Buffer.alloc(size.readUInt32LE() + SPARE_BYTES);
    }
    return undefined;
  }

  /** `undefined` also for a process that this user may not ask about: then it is another user's. */
  #userOf(pid: number): string | undefined {
    const { openProcess, openToken, tokenInformation, close } = this.#calls;
    const asked = openProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid);
    if (asked === 0n) return undefined;
    const token = Buffer.alloc(8);
    try {
      if (openToken(asked, TOKEN_QUERY, token) === 0) return undefined;
      const user = Buffer.alloc(TOKEN_USER_BYTES);
      const isRead = tokenInformation(token.readBigUInt64LE(), TOKEN_USER, user, user.length, Buffer.alloc(4)) !== 0;
      return isRead ? sidIn(user, TOKEN_USER_HEAD_BYTES) : undefined;
    } finally {
      if (token.readBigUInt64LE() !== 0n) close(token.readBigUInt64LE());
      close(asked);
    }
  }
}

/** Handles are numbers of 64 bits here: koffi makes an object of each pointer else. */
function declareCalls(koffi: Koffi) {
  const [network, kernel, security] = ['iphlpapi.dll', 'kernel32.dll', 'advapi32.dll'].map((name) => koffi.load(name));
  if (network === undefined || kernel === undefined || security === undefined) throw new Error('a library is missing');
  const [number, handle, pointer] = ['uint32', 'uint64', 'void *'];
  const tcpTable = network.func('GetExtendedTcpTable', number, [pointer, pointer, number, number, number, number]);
  const openProcess = kernel.func('OpenProcess', handle, [number, number, number]);
  const close = kernel.func('CloseHandle', number, [handle]);
  const openToken = security.func('OpenProcessToken', number, [handle, number, pointer]);
  const tokenInformation = security.func('GetTokenInformation', number, [handle, number, pointer, number, pointer]);
  return {
    tcpTable: (table: Buffer, size: Buffer, ...words: readonly number[]): number => tcpTable(table, size, ...words),
    openProcess: (...words: readonly number[]): bigint => BigInt(openProcess(...words)),
    openToken: (asked: bigint, access: number, token: Buffer): number => openToken(asked, access, token),
    tokenInformation: (token: bigint, kind: number, into: Buffer, size: number, needed: Buffer): number =>
      tokenInformation(token, kind, into, size, needed),
    close: (one: bigint): void => void close(one),
  };
}
