#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#include "abi.h"
#include "memory.h"
#include "repeats.h"

namespace viaduct {

/**
 * TCP sockets on the thread of the event loop, with less around them than Node's: one system call for each event, and one
 * call into JavaScript for all events of a tick. Edge-triggered: a socket counts as ready until the kernel has answered
 * EAGAIN, so no call is needed to wait for it again.
 *
 * Every function that takes the number of a socket does nothing, or returns EBADF, when that socket is closed.
 */
class EpollSockets {
 public:
  /** Bytes read from one socket in one tick. */
  static constexpr size_t kReadBytes = 65'536;

  struct Shared {
    /** `kSocketsMax` bytes, one for each socket. */
    uint8_t* states;
    /** `kSocketEventsMax` times `kNumbersPerEvent`. */
    int32_t* events;
    /** `kSharedBufferBytes`. */
    char* buffer;
  };

  EpollSockets() = default;
  ~EpollSockets();
  EpollSockets(const EpollSockets&) = delete;
  EpollSockets& operator=(const EpollSockets&) = delete;

  /** 0, or an errno. */
  int start(const Shared& shared);
  /** Readable when there are events. */
  int fd() const { return epoll_; }
  /** Collects the events since the last tick; how many. What was read stays in the buffer until the next tick. */
  size_t tick();
  /** Whether a tick is due though `fd()` is not readable: for sockets that had more than a tick reads, or may read again. */
  bool has_more() const {
    return !later_.empty() || !skipped_.empty() || !handed_back_.empty();
  }
  /** Sockets that are open. */
  size_t size() const { return open_; }

  /** The number of a socket that listens, or a negative errno. It accepts from `serve` on. */
  int listen(const char* address, uint16_t port, int backlog, bool shares_port);
  /** Begins to accept, or goes on: 0, or an errno. */
  int serve(uint32_t number);
  /** Accepts no more until `serve`. */
  void pause(uint32_t number);
  /** Offers what new clients send to `repeats` first; nullptr: to no one. 0, or an errno. */
  int repeat_with(Repeats* repeats);
  /** Has the kernel report a client when it has sent something, or a second later. */
  void await_bytes(uint32_t number);
  /** The number of a socket that connects, from a local address unless `from` is empty; or a negative errno. */
  int dial(const char* address, uint16_t port, const char* from);
  /** Reads a socket that is ready in the next tick. */
  void read_later(uint32_t number);
  /** Bytes written, 0 when the socket takes none now, or a negative errno. */
  long write(uint32_t number, const char* bytes, size_t size);
  /** Bytes read, 0 at the end, or a negative errno. */
  long read(uint32_t number, char* bytes, size_t size);
  /** Whether a read would find neither bytes nor an end nor an error. Takes nothing. */
  bool is_quiet(uint32_t number);
  /** 0, or an errno. */
  int shut_down(uint32_t number);
  void close(uint32_t number);
  void reset(uint32_t number);
  /** The descriptor, which is the caller's from now on; -1 when there is none. */
  int take_fd(uint32_t number);
  void keep_alive(uint32_t number, int after_s);
  /** As `bound_silence` in silence.h. */
  void bound_silence(uint32_t number, unsigned after_ms);
  /** Addresses; false when there are none. */
  bool peer(uint32_t number, sockaddr_storage* address);
  bool local(uint32_t number, sockaddr_storage* address);

 private:
  /** Sockets of which one tick takes events from the kernel. */
  static constexpr size_t kReadyMax = 128;
  enum class Kind : uint8_t { none, listening, dialing, open };
  struct Socket {
    int fd = -1;
    Kind kind = Kind::none;
    /** A short read does not mean that there is nothing more: an end, an error or urgent data has been announced. */
    bool has_more_behind = false;
    bool is_blocked = false;
    bool is_queued = false;
    /** The kernel ends it unless its peer acknowledges something soon. */
    bool is_bound = false;
    /** Grows when the socket is closed, so that its number means no later socket. */
    uint16_t generation = 0;
    /** The tick in which it was last read: no socket is read twice in one. */
    uint32_t last_read = 0;
  };
  struct Accepted {
    uint32_t number;
    sockaddr_storage address;
  };

  /** With the bits of the index they fit into a positive 32-bit number. */
  static constexpr uint32_t kGenerations = 4'096;
  static constexpr uint32_t kIndexMask = kSocketsMax - 1;
  uint32_t number_of(uint32_t index) const {
    return static_cast<uint32_t>(sockets_[index].generation) << kSocketIndexBits | index;
  }
  /** The open socket of that number; nullptr when it is closed or never was. Valid until the next `add`. */
  Socket* find(uint32_t number);
  uint8_t& state_of(uint32_t number) { return shared_.states[number & kIndexMask]; }

  /** Its number, or a negative errno. Owns the descriptor in both cases. */
  int add(int fd, Kind kind);
  int watch(uint32_t number, int fd, uint32_t events);
  void on_ready(uint32_t number, uint32_t events);
  void accept_all(uint32_t listener, int fd);
  /** The number of the new socket, or a negative errno. Owns the descriptor in both cases. */
  int admit(uint32_t listener, int fd, const sockaddr_storage& address);
  /** Reads from a new client, and lets it be served by `repeats_` or admits it. False: it is still the caller's. */
  bool offer(uint32_t listener, int fd, const sockaddr_storage& address);
  void admit_handed_back();
  void read_now(uint32_t number, Socket& socket);
  /** There was no space for its bytes or its event in this tick. */
  void skip(uint32_t number, Socket& socket);
  void read_later(uint32_t number, Socket& socket);
  /** Whether no more may be read or accepted in this tick: the events that the kernel has reported must still find space. */
  bool is_full() const { return posted_ + 3 * kReadyMax > kSocketEventsMax; }
  void post(SocketEvent kind, uint32_t number, int32_t a = 0, int32_t b = 0, int32_t c = 0);
  void forget(uint32_t number, Socket& socket);

  static constexpr uint32_t kHandedBack = UINT32_MAX;

  Shared shared_ = {};
  int epoll_ = -1;
  Repeats* repeats_ = nullptr;
  /** Clients for which there was no space in the last tick. */
  Vector<HandedBack> handed_back_;
  size_t open_ = 0;
  /** Events of this tick, and bytes in the buffer. */
  size_t posted_ = 0;
  size_t buffered_ = 0;
  uint32_t tick_ = 0;
  /** IPv6 addresses of the clients accepted in this tick: of a client that has reset since, the kernel no longer knows it. */
  Vector<Accepted> six_;
  /** By index, as are `free_` and `closed_`. */
  Vector<Socket> sockets_;
  Vector<uint32_t> free_;
  /** Closed since the last tick: events of that tick may still name them. */
  Vector<uint32_t> closed_;
  Vector<uint32_t> later_;
  /** First in the next tick: four sockets that always have more would leave no space for a fifth. */
  Vector<uint32_t> skipped_;
  Vector<uint32_t> now_;
};

}  // namespace viaduct
