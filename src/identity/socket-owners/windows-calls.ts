import type { Koffi } from '../../native/koffi.ts';

/** What `windows-socket-owners.ts` asks Windows. */
export interface WindowsCalls {
  /** Its connections, as windows-tcp-table.ts reads them. */
  tcpTable(family: number): Buffer | undefined;
  /** `undefined`: there is none, or this user may not ask about it. */
  openProcess(pid: number): OpenProcess | undefined;
}

/** A process whose number is given to no other until this is disposed. */
export interface OpenProcess extends Disposable {
  /** A FILETIME. */
  startedAt(): bigint;
  /** As Windows writes users: `S-1-5-21-…`. */
  user(): string | undefined;
}

const TCP_TABLE_OWNER_MODULE_CONNECTIONS = 7;
const NO_ERROR = 0;
const ERROR_INSUFFICIENT_BUFFER = 122;
/** The table grows while it is asked for; each time by more than was missing. */
const TRIES = 5;
const SPARE_BYTES = 16_384;

const PROCESS_QUERY_LIMITED_INFORMATION = 0x1000;
const TOKEN_QUERY = 8;
const TOKEN_USER = 1;
/** A TOKEN_USER for 64 bits (a pointer and flags), and the longest SID behind it. */
const TOKEN_USER_HEAD_BYTES = 16;
const TOKEN_USER_BYTES = TOKEN_USER_HEAD_BYTES + 68;

/** Handles are numbers of 64 bits here: koffi makes an object of each pointer else. */
export function openWindowsCalls(koffi: Koffi): WindowsCalls {
  const [network, kernel, security] = ['iphlpapi.dll', 'kernel32.dll', 'advapi32.dll'].map((name) => koffi.load(name));
  if (network === undefined || kernel === undefined || security === undefined) throw new Error('a library is missing');
  const [number, handle, pointer] = ['uint32', 'uint64', 'void *'];
  const tcpTable = network.func('GetExtendedTcpTable', number, [pointer, pointer, number, number, number, number]);
  const openProcess = kernel.func('OpenProcess', handle, [number, number, number]);
  const times = kernel.func('GetProcessTimes', number, [handle, pointer, pointer, pointer, pointer]);
  const close = kernel.func('CloseHandle', number, [handle]);
  const openToken = security.func('OpenProcessToken', number, [handle, number, pointer]);
  const tokenInformation = security.func('GetTokenInformation', number, [handle, number, pointer, number, pointer]);

  function userOf(process: bigint): string | undefined {
    const token = Buffer.alloc(8);
    if (openToken(process, TOKEN_QUERY, token) === 0) return undefined;
    const user = Buffer.alloc(TOKEN_USER_BYTES);
    const isRead = tokenInformation(token.readBigUInt64LE(), TOKEN_USER, user, user.length, Buffer.alloc(4)) !== 0;
    close(token.readBigUInt64LE());
    return isRead ? sidIn(user, TOKEN_USER_HEAD_BYTES) : undefined;
  }

  return {
    tcpTable(family) {
      let bytes = Buffer.alloc(SPARE_BYTES);
      for (let tried = 0; tried < TRIES; tried++) {
        const size = Buffer.alloc(4);
        size.writeUInt32LE(bytes.length);
        const status: number = tcpTable(bytes, size, 0, family, TCP_TABLE_OWNER_MODULE_CONNECTIONS, 0);
        if (status === NO_ERROR) return bytes;
        if (status !== ERROR_INSUFFICIENT_BUFFER) return undefined;
        bytes = Buffer.alloc(size.readUInt32LE() + SPARE_BYTES);
      }
      return undefined;
    },
    openProcess(pid) {
      const opened = BigInt(openProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid));
      if (opened === 0n) return undefined;
      return {
        startedAt() {
          const [started = Buffer.alloc(8), ...others] = Array.from({ length: 4 }, () => Buffer.alloc(8));
          // Without an answer: later than any socket.
          return times(opened, started, ...others) === 0 ? 2n ** 63n : started.readBigUInt64LE();
        },
        user: () => userOf(opened),
        [Symbol.dispose]: () => void close(opened),
      };
    },
  };
}

/** A SID (its bytes begin at `at`) as Windows writes it: `S-1-5-21-…`. */
export function sidIn(bytes: Buffer, at: number): string {
  const parts = Array.from({ length: bytes.readUInt8(at + 1) }, (_, part) => bytes.readUInt32LE(at + 8 + 4 * part));
  return ['S', bytes.readUInt8(at), bytes.readUIntBE(at + 2, 6), ...parts].join('-');
}
