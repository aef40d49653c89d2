/** Generated from native/abi.h by `node scripts/native-abi.ts`; `npm run check` fails when it is out of date. */
/**
 * To be raised with every change of what the addon exports, takes, returns or shares. TypeScript compares it when it loads
 * the addon: one that was built from other sources would read and write the wrong memory.
 */
export const ABI = 9;
/**
 * A socket is known to JavaScript by a number: an index into the tables, and above it a generation, which grows each time
 * the index is used again. A number of a socket that is closed then means no other socket.
 */
export const SOCKET_INDEX_BITS = 18;
export const SOCKETS_MAX = 262_144;
/** What happens to a socket, in five numbers: kind, socket, and three that depend on the kind. */
export const SOCKET_EVENTS = {
  /** A new socket: its listener, the client's port and IPv4 address; 0: the address is IPv6, see `peer`. */
  accepted: 0,
  /** Connecting has ended: 0 or an errno. */
  connected: 1,
  /** Bytes were read: their offset in the shared buffer, and how many. */
  bytes: 2,
  /** The peer has sent a FIN. */
  ended: 3,
  /** An errno. It is the last event of the socket. */
  failed: 4,
  /** The kernel takes bytes again. */
  writable: 5,
  /** There are bytes, and the owner reads them by itself. */
  readable: 6,
  /** A listener cannot accept: an errno. It accepts no more until `serve`; clients wait in the kernel meanwhile. */
  acceptFailed: 7,
} as const;
export const NUMBERS_PER_EVENT = 5;
export const SOCKET_EVENTS_MAX = 1_024;
/** Bits of the byte that each socket shares with its owner, so that to pause and to resume costs no call. */
export const STATE_WANTED = 1;
export const STATE_READY = 2;
export const STATE_OWNER_READS = 4;
/** The buffer into which sockets are read whose owners do not read by themselves. */
export const SHARED_BUFFER_BYTES = 262_144;
/** Tunnels of the relay have numbers as sockets do. */
export const SLOT_INDEX_BITS = 20;
export const SLOT_GENERATIONS = 2_048;
/** Slots in one block of counters. */
export const SLOTS_PER_BLOCK = 1_024;
/** In the index of a tunnel that the addon has opened by itself (repeats.h): those slots are the addon's to give out. */
export const REPEATED_SLOT = 524_288;
/** Tunnels of that kind that may be open at once; further ones are opened by TypeScript. */
export const REPEATED_MAX = 16_384;
export const RELAY_COMMANDS = {
  /** Close both sockets; reset one to which not all was sent that came for it. */
  close: 0,
  /** Reset both sockets. */
  abort: 1,
  /** Look whether the peers still answer; the first time, have the kernel send keep-alive probes. */
  checkPeers: 2,
  /** From now on bytes of the client, or of the upstream, pass as they are granted, and not otherwise. */
  limitUp: 3,
  limitDown: 4,
  /** From now on they pass without grants. */
  unlimitUp: 5,
  unlimitDown: 6,
  /** So many more may pass. */
  grantUp: 7,
  grantDown: 8,
} as const;
/** What the thread asks for at once at most, where bulk data passes: a larger grant would save no more. */
export const GRANT_BYTES_MAX = 8_388_608;
/** Added to the bytes of a grant: the next one is on its way, and need not be asked for. */
export const GRANT_MORE = 1_073_741_824;
/** Bits of `flags` of `add`: which descriptors are the relay's from then on, and which directions begin under a limit. */
export const GIVEN_CLIENT = 1;
export const GIVEN_UPSTREAM = 2;
export const LIMITED_UP = 4;
export const LIMITED_DOWN = 8;
/** What becomes of a tunnel, in three numbers: slot, kind and a detail. */
export const RELAY_EVENTS = {
  /** One side has ended, the other goes on; the detail is a `TunnelEnd`. */
  halfClosed: 0,
  /** Both sockets are closed; the detail is a `TunnelEnd`. */
  closed: 1,
  /** Bytes of the client, or of the upstream, wait for a grant: the detail is how many. Asked once for each grant. */
  wantsUp: 2,
  wantsDown: 3,
  /** So many granted bytes are not needed for now, and are taken from the budget. */
  returnsUp: 4,
  returnsDown: 5,
} as const;
export const NUMBERS_PER_RELAY_EVENT = 3;
export const RELAY_EVENTS_MAX = 512;
/** What is reported of a repeated tunnel. */
export const TUNNEL_REPORTS = {
  /** It is open, and the events of its slot follow. */
  open: 0,
  /** It was open, and is over already: nothing else is reported of it. */
  over: 1,
} as const;
/**
 * Of one report: the kind, the decision, the slot, the client's port, when the client was accepted and when the tunnel
 * opened and ended (milliseconds on the monotonic clock), bytes from the client and to it, and a `TunnelEnd`.
 */
export const NUMBERS_PER_REPORT = 10;
export const REPORTS_MAX = 256;
/** How a tunnel ended; the first two name the side that ended first. */
export const TUNNEL_ENDS = {
  client: 0,
  upstream: 1,
  error: 2,
  stopped: 3,
} as const;
