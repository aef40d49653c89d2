#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "pipes.h"

namespace viaduct {

/** Milliseconds of a clock that is read without a system call. */
uint64_t coarse_ms();

/** Who a tunnel's bytes come from, and by that, which way they go. */
enum Who : int { kClient = 0, kUpstream = 1 };
constexpr Who other(int who) { return who == kClient ? kUpstream : kClient; }

/** How a tunnel ended; the first two say who ended first. */
enum class End : int32_t { client = 0, upstream = 1, error = 2, stopped = 3 };

/** Bytes that have been read and not been written. */
class Held {
 public:
  Held() = default;
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held();

  size_t size() const { return end_ - at_; }
  const char* data() const { return bytes_ + at_; }
  /** Appends a copy; false when there is no memory. */
  bool add(const char* bytes, size_t size);
  /** Drops the first ones, and the memory with the last. */
  void drop(size_t size);

 private:
  char* bytes_ = nullptr;
  uint32_t at_ = 0;
  uint32_t end_ = 0;
};

/** What the tunnels of one thread share. */
struct Tools {
  Pipes pipes;
  /** Every read that is not spliced lands here. */
  char* buffer;
  /** Bytes that one direction may move before others have their turn. */
  size_t turn_bytes = 0;
  /** When somebody last sent a little, as people do who type, on the coarse clock. */
  uint64_t small_talk_ms = 0;
  /** Larger than the socket buffers of most, so that a full read says that there is more. */
  static constexpr size_t kReadBytes = 65'536;
};

/**
 * Two sockets and the bytes between them, with the rules of the relay in TypeScript for how a tunnel ends. Edge-triggered:
 * what a socket is ready for is remembered until the kernel has said EAGAIN.
 */
class Tunnel {
 public:
  enum class Step { waits, again, over };

  /** Owns both descriptors. `counters` are two numbers that others read while the tunnel runs. */
  Tunnel(uint32_t slot, int client, int upstream, uint64_t* counters);
  ~Tunnel();
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  /** Bytes of `who` that somebody has read before. */
  bool add_early(Who who, const char* bytes, size_t size) { return ways_[who].held.add(bytes, size); }

  /** Owns them no more, without a word to anybody. */
  void leave_sockets() { sides_[kClient].fd = sides_[kUpstream].fd = -1; }
  int fd(Who who) const { return sides_[who].fd; }
  /** Notes what epoll says of a socket. */
  void noted(Who who, uint32_t events);
  /** Whether there is something to do for the bytes of `who`. */
  bool can_move(Who who) const;
  bool is_bulk(Who who) const { return ways_[who].is_bulk; }
  /** Moves bytes of `who`, at most one turn of them. `over`: both sockets are closed, `end()` says why. */
  Step move(Who who, Tools& tools);

  /** Has the kernel look now and then whether silent peers are still there. */
  void keep_alive() const;
  /** Closes both; a side that has not got all that came for it is reset, or it would take the end for complete. */
  void cut(Tools& tools);
  /** Resets both. */
  void abort(Tools& tools);
  /** Gives the sockets away as they are; what is held can then be taken from `held`. False: no memory, and it is over. */
  bool release(Tools& tools);
  Held& held(Who who) { return ways_[who].held; }

  End end() const { return end_; }
  /** The side that has ended, while the other one goes on. */
  bool is_half_ended() const { return ways_[kClient].is_done != ways_[kUpstream].is_done; }
  bool has_ended_one() const { return has_ended_one_; }
  Who first_to_end() const { return first_to_end_; }

  const uint32_t slot;
  /** Tells tunnels of one slot apart. */
  uint32_t serial = 0;
  /** Links in the queue of those that can move; null when it is not in it. */
  struct Link {
    Tunnel* tunnel;
    Who who;
    Link* next;
    Link* previous;
  } links[2];

 private:
  struct Side {
    int fd;
    bool is_readable = false;
    bool is_writable = true;
    /** Its end has been seen, so that a short read does not mean that there is nothing more. */
    bool has_more_behind = false;
  };
  struct Way {
    Held held;
    Pipe* pipe = nullptr;
    size_t piped = 0;
    uint64_t* counter = nullptr;
    uint64_t moved = 0;
    /** Bytes of the next turn: as much as its reader has proved to take at once. */
    size_t turn = kTurnMin;
    uint8_t small_reads = 0;
    bool is_bulk = false;
    /** Its source has ended, and perhaps bytes are still to be written. */
    bool is_ended = false;
    /** Its source has ended and all of it is written. */
    bool is_done = false;
  };

  /** A reader that stops leaves at most one turn with us; one that has stopped before, this much. */
  static constexpr size_t kTurnMin = 65'536;

  Step read_through(Who who, Tools& tools);
  Step splice_through(Who who, Tools& tools);
  Step drained(Who who, Tools& tools);
  Step end_of(Who who, Tools& tools);
  Step broken(Tools& tools);
  /** Writes what is held. `again`: all of it. */
  Step flush(Who who, Tools& tools);
  Step blocked(Who who, Tools& tools);
  /** Moves what is in the pipe to memory. */
  bool unpipe(Way& way);
  void count(Way& way, size_t bytes);
  void release_pipes(Tools& tools);
  void close_side(Side& side);
  void reset_side(Side& side);

  Side sides_[2];
  Way ways_[2];
  /** Small reads of both sides since the last large one. */
  uint8_t small_talk_ = 0;
  Who first_to_end_ = kClient;
  bool has_ended_one_ = false;
  End end_ = End::error;
};

}  // namespace viaduct
