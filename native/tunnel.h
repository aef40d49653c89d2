#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "abi.h"
#include "pipes.h"

namespace viaduct {

/** Milliseconds of a clock that is read without a system call, and is exact to about 4 ms. */
uint64_t coarse_ms();

/** A side of a tunnel. As the source of bytes it also names their direction. */
enum Endpoint : int { kClient = 0, kUpstream = 1 };
constexpr Endpoint other(int source) { return source == kClient ? kUpstream : kClient; }

/** Bytes that have been read and not been written. */
class PendingBytes {
 public:
  PendingBytes() = default;
  PendingBytes(const PendingBytes&) = delete;
  PendingBytes& operator=(const PendingBytes&) = delete;
  ~PendingBytes();

  size_t size() const { return end_ - at_; }
  const char* data() const { return bytes_ + at_; }
  /** Appends a copy; false when there is no memory, and nothing has changed. */
  bool add(const char* bytes, size_t size);
  /** Drops the first bytes, and the memory with the last. */
  void drop(size_t size);

 private:
  char* bytes_ = nullptr;
  uint32_t at_ = 0;
  uint32_t end_ = 0;
};

struct Repetition;

/** What the tunnels of one thread share. */
struct RelayContext {
  Pipes pipes;
  /** Every read that is not spliced lands here. */
  char* buffer = nullptr;
  /** Bytes that one direction may move before the next one. */
  size_t slice_bytes = 0;
  /** When a tunnel last moved interactive traffic, on the coarse clock. */
  uint64_t interactive_ms = 0;
  /** Larger than the socket buffers of most, so that a full read says that there is more. */
  static constexpr size_t kReadBytes = 65'536;
};

/**
 * Two sockets and the bytes between them, with the rules of the relay in TypeScript for how a tunnel ends. Edge-triggered:
 * a socket counts as ready until the kernel has answered EAGAIN.
 */
class Tunnel {
 public:
  enum class Step { waits, again, over };

  /**
   * Owns both descriptors. `counters` are two numbers that another thread reads while the tunnel runs; without them it must
   * not run before `count_in`.
   */
  Tunnel(uint32_t slot, int client, int upstream, uint64_t* counters);
  ~Tunnel();
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  /** Bytes of `source` that were read before the tunnel began. They need grants as all others do, if `limit` came before. */
  bool add_early(Endpoint source, const char* bytes, size_t size);

  /** From now on bytes of `source` pass as they are granted. */
  void limit(Endpoint source) { directions_[source].is_limited = true; }
  /** From now on they pass without grants. */
  void unlimit(Endpoint source);
  /** So many more bytes of `source` may pass; `bytes` may have `kGrantMore`. */
  void grant(Endpoint source, uint32_t bytes);
  /** How many bytes of `source` wait for a grant that was not asked for yet; 0 the next time. */
  size_t take_wanted(Endpoint source);
  /** Granted bytes of `source` that wait for bytes to come. */
  size_t spare(Endpoint source) const;
  /** The same, and they are granted no more. */
  size_t take_spare(Endpoint source);
  uint64_t moved(Endpoint source) const { return directions_[source].moved; }

  /** Counts its bytes in these two numbers from now on. */
  void count_in(uint64_t* counters);
  /** Owns the descriptors no more, and closes neither. */
  void detach_sockets() { sockets_[kClient].fd = sockets_[kUpstream].fd = -1; }
  /** The client's, which is the caller's from now on. */
  int release_client() { return std::exchange(sockets_[kClient].fd, -1); }
  int fd(Endpoint source) const { return sockets_[source].fd; }
  /** Takes the events that epoll reports for a socket. */
  void on_ready(Endpoint source, uint32_t events);
  /** Whether bytes of `source`, or its end, can be moved. */
  bool can_move(Endpoint source) const;
  bool is_bulk(Endpoint source) const { return directions_[source].is_bulk; }
  /** Moves bytes of `source`, at most one slice. `over`: both sockets are closed, `end()` says why. */
  Step move(Endpoint source, RelayContext& context);

  /** Has the kernel probe silent peers, and end a connection whose peer acknowledges nothing. To be called now and then. */
  void check_peers();
  /** Closes both. A side to which not all was sent that came for it is reset: it would take a FIN for the end of the data. */
  void close_both(RelayContext& context);
  /** Resets both. */
  void abort(RelayContext& context);

  TunnelEnd end() const { return end_; }
  /** The side that has ended, while the other one goes on. */
  bool is_half_ended() const { return directions_[kClient].is_done != directions_[kUpstream].is_done; }
  Endpoint first_to_end() const { return first_to_end_; }

  /** Its number, which has a generation (abi.h). */
  uint32_t slot;
  /** Owned. Set as long as the addon has opened the tunnel by itself and has not reported it. */
  Repetition* repetition = nullptr;
  /** Whether the spare budget of a direction is looked at soon. */
  bool is_spare_watched[2] = {false, false};
  /** Links in the queue of directions that can move; null when it is not in the queue. */
  struct Link {
    Tunnel* tunnel;
    Endpoint source;
    Link* next;
    Link* previous;
  } links[2];

 private:
  struct Socket {
    int fd;
    bool is_readable = false;
    bool is_writable = true;
    /** Its end or urgent data is announced, so that a short read does not mean that there is nothing more. */
    bool has_more_behind = false;
    /** The kernel ends it unless its peer acknowledges something soon. */
    bool is_bound = false;
  };
  struct Direction {
    PendingBytes pending;
    Pipe* pipe = nullptr;
    size_t piped = 0;
    uint64_t* counter = nullptr;
    uint64_t moved = 0;
    /** Bytes of the next slice: as many as its reader has proved to take at once. */
    size_t slice_bytes = kSliceMin;
    /** Granted and not spent. Bytes are spent when they are read. */
    size_t budget = 0;
    /** Of the pending bytes, those at the end that were never granted. */
    size_t unpaid = 0;
    /** Bytes that wait for a grant, until the relay asks its owner. */
    uint32_t wanted = 0;
    uint8_t small_reads = 0;
    bool is_bulk = false;
    /** Bytes pass only as they are granted. */
    bool is_limited = false;
    /** They wait for a grant. */
    bool is_asking = false;
    /** It comes without being asked for. */
    bool is_promised = false;
    /** Its source has ended, and perhaps bytes are still to be written. */
    bool is_ended = false;
    /** Its source has ended and all of it is written. */
    bool is_done = false;
  };

  /** Of a reader that stops, the relay holds at most one slice; of one that has stopped before, this much. */
  static constexpr size_t kSliceMin = 65'536;

  Step read_through(Endpoint source, RelayContext& context);
  Step splice_through(Endpoint source, RelayContext& context);
  Step drained(Endpoint source, RelayContext& context);
  /** Without a budget: an end or a failure passes, and bytes are asked for. */
  Step look(Endpoint source, RelayContext& context);
  Step ask(Endpoint source, size_t bytes, RelayContext& context);
  void give_back_pipe(Direction& direction, RelayContext& context);
  Step end_of(Endpoint source, RelayContext& context);
  Step broken(RelayContext& context);
  Step failed(Endpoint endpoint, RelayContext& context);
  /** Writes what was read. `again`: all of it. */
  Step flush(Endpoint source, RelayContext& context);
  Step blocked(Endpoint source, RelayContext& context);
  /** Moves what is in the pipe to memory. */
  bool unpipe(Direction& direction);
  void count(Direction& direction, size_t bytes);
  void release_pipes(RelayContext& context);
  void close_socket(Socket& socket);
  void reset_socket(Socket& socket);

  Socket sockets_[2];
  Direction directions_[2];
  /** Small reads in a row, of both sides. */
  uint8_t interactive_reads_ = 0;
  Endpoint first_to_end_ = kClient;
  bool has_ended_one_ = false;
  bool has_keep_alive_ = false;
  TunnelEnd end_ = TunnelEnd::error;
};

}  // namespace viaduct
