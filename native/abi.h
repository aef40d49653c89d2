#pragma once

#include <cstddef>
#include <cstdint>

/**
 * What the addon and TypeScript must agree on. scripts/native-abi.ts writes src/native/abi.ts from this file, and
 * `npm run check` fails when that is out of date. So there is nothing here but enums that give each name its value, and
 * constants.
 */
namespace viaduct {

/**
 * To be raised with every change of what the addon exports, takes, returns or shares. TypeScript compares it when it loads
 * the addon: one that was built from other sources would read and write the wrong memory.
 */
constexpr int32_t kAbi = 9;

/**
 * A socket is known to JavaScript by a number: an index into the tables, and above it a generation, which grows each time
 * the index is used again. A number of a socket that is closed then means no other socket.
 */
constexpr uint32_t kSocketIndexBits = 18;
constexpr uint32_t kSocketsMax = 1 << kSocketIndexBits;

/** What happens to a socket, in five numbers: kind, socket, and three that depend on the kind. */
enum class SocketEvent : int32_t {
  /** A new socket: its listener, the client's port and IPv4 address; 0: the address is IPv6, see `peer`. */
  accepted = 0,
  /** Connecting has ended: 0 or an errno. */
  connected = 1,
  /** Bytes were read: their offset in the shared buffer, and how many. */
  bytes = 2,
  /** The peer has sent a FIN. */
  ended = 3,
  /** An errno. It is the last event of the socket. */
  failed = 4,
  /** The kernel takes bytes again. */
  writable = 5,
  /** There are bytes, and the owner reads them by itself. */
  readable = 6,
  /** A listener cannot accept: an errno. It accepts no more until `serve`; clients wait in the kernel meanwhile. */
  accept_failed = 7,
};
constexpr size_t kNumbersPerEvent = 5;
constexpr size_t kSocketEventsMax = 1'024;

/** Bits of the byte that each socket shares with its owner, so that to pause and to resume costs no call. */
constexpr uint8_t kStateWanted = 1;
constexpr uint8_t kStateReady = 2;
constexpr uint8_t kStateOwnerReads = 4;

/** The buffer into which sockets are read whose owners do not read by themselves. */
constexpr size_t kSharedBufferBytes = 262'144;

/** Tunnels of the relay have numbers as sockets do. */
constexpr uint32_t kSlotIndexBits = 20;
constexpr uint32_t kSlotGenerations = 2'048;
/** Slots in one block of counters. */
constexpr size_t kSlotsPerBlock = 1'024;
/** In the index of a tunnel that the addon has opened by itself (repeats.h): those slots are the addon's to give out. */
constexpr uint32_t kRepeatedSlot = 1 << 19;
/** Tunnels of that kind that may be open at once; further ones are opened by TypeScript. */
constexpr size_t kRepeatedMax = 16'384;

enum class RelayCommand : int32_t {
  /** Close both sockets; reset one to which not all was sent that came for it. */
  close = 0,
  /** Reset both sockets. */
  abort = 1,
  /** Look whether the peers still answer; the first time, have the kernel send keep-alive probes. */
  check_peers = 2,
  /** From now on bytes of the client, or of the upstream, pass as they are granted, and not otherwise. */
  limit_up = 3,
  limit_down = 4,
  /** From now on they pass without grants. */
  unlimit_up = 5,
  unlimit_down = 6,
  /** So many more may pass. */
  grant_up = 7,
  grant_down = 8,
};

/** What the thread asks for at once at most, where bulk data passes: a larger grant would save no more. */
constexpr size_t kGrantBytesMax = 8'388'608;
/** Added to the bytes of a grant: the next one is on its way, and need not be asked for. */
constexpr uint32_t kGrantMore = 1 << 30;

/** Bits of `flags` of `add`: which descriptors are the relay's from then on, and which directions begin under a limit. */
constexpr int32_t kGivenClient = 1;
constexpr int32_t kGivenUpstream = 2;
constexpr int32_t kLimitedUp = 4;
constexpr int32_t kLimitedDown = 8;

/** What becomes of a tunnel, in three numbers: slot, kind and a detail. */
enum class RelayEvent : int32_t {
  /** One side has ended, the other goes on; the detail is a `TunnelEnd`. */
  half_closed = 0,
  /** Both sockets are closed; the detail is a `TunnelEnd`. */
  closed = 1,
  /** Bytes of the client, or of the upstream, wait for a grant: the detail is how many. Asked once for each grant. */
  wants_up = 2,
  wants_down = 3,
  /** So many granted bytes are not needed for now, and are taken from the budget. */
  returns_up = 4,
  returns_down = 5,
};
constexpr size_t kNumbersPerRelayEvent = 3;
constexpr size_t kRelayEventsMax = 512;

/** What is reported of a repeated tunnel. */
enum class TunnelReport : int32_t {
  /** It is open, and the events of its slot follow. */
  open = 0,
  /** It was open, and is over already: nothing else is reported of it. */
  over = 1,
};
/**
 * Of one report: the kind, the decision, the slot, the client's port, when the client was accepted and when the tunnel
 * opened and ended (milliseconds on the monotonic clock), bytes from the client and to it, and a `TunnelEnd`.
 */
constexpr size_t kNumbersPerReport = 10;
constexpr size_t kReportsMax = 256;

/** How a tunnel ended; the first two name the side that ended first. */
enum class TunnelEnd : int32_t {
  client = 0,
  upstream = 1,
  error = 2,
  stopped = 3,
};

}  // namespace viaduct
