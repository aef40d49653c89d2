#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace viaduct {

/** What has happened to a socket; five numbers each: kind, socket, and three that depend on the kind. */
enum class Happened : int32_t {
  /** A listener has a new socket: the listener, its port, and its IPv4 address, or none (see `peer`). */
  accepted = 0,
  /** `dial` has come to its end: 0 or an errno. */
  connected = 1,
  /** Where its bytes lie in the buffer, and how many. */
  bytes = 2,
  /** The peer has sent all. */
  ended = 3,
  /** An errno. Nothing more will come. */
  failed = 4,
  /** It takes bytes again. */
  writable = 5,
  /** It has bytes, and its reader wants to read them itself. */
  readable = 6,
  /** A listener could not accept: an errno. */
  refused = 7,
};
constexpr size_t kNumbersEach = 5;
constexpr size_t kHappenedMax = 1'024;

/** Bits of the byte that each socket shares with its owner, so that to pause and to resume costs no call. */
constexpr uint8_t kWanted = 1;
constexpr uint8_t kReady = 2;
constexpr uint8_t kReadsItself = 4;

/**
 * TCP sockets on the loop's own thread, with less around them than Node's: one system call for each thing that happens,
 * and one call into JavaScript for all that has happened in a turn. Edge-triggered: what a socket is ready for is
 * remembered until the kernel has said EAGAIN, so that nobody has to say again what it waits for.
 */
class Lane {
 public:
  static constexpr size_t kSocketsMax = 262'144;
  /** Of one socket in one turn. */
  static constexpr size_t kReadBytes = 65'536;
  /** Of all sockets in one turn. */
  static constexpr size_t kBufferBytes = 4 * kReadBytes;

  struct Shared {
    /** One byte for each socket. */
    uint8_t* states;
    /** `kHappenedMax` times `kNumbersEach`. */
    int32_t* happened;
    /** `kBufferBytes`. */
    char* buffer;
  };

  Lane() = default;
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  /** 0, or an errno. */
  int start(const Shared& shared);
  /** Readable when there is something to do. */
  int fd() const { return epoll_; }
  /** What has happened since; how many. What is read stays in the buffer until the next turn. */
  size_t turn();
  /** Whether a turn is due though `fd()` says nothing: sockets that were full, or may read again. */
  bool has_more() const { return !later_.empty() || !skipped_.empty(); }
  /** Sockets that are open. */
  size_t size() const { return open_; }

  /** A socket that listens, or a negative errno. Nobody is accepted before `serve`. */
  int listen(const char* address, uint16_t port, int backlog, bool shares_port);
  /** 0, or an errno. */
  int serve(uint32_t listener);
  /** A socket that connects, or a negative errno. */
  int dial(const char* address, uint16_t port);
  /** Reads what it is ready for in the next turn. */
  void look_later(uint32_t socket);
  /** Bytes written, which is none when the socket takes none now, or a negative errno. */
  long write(uint32_t socket, const char* bytes, size_t size);
  /** Bytes read, 0 at the end, or a negative errno. */
  long read(uint32_t socket, char* bytes, size_t size);
  int shut_down(uint32_t socket);
  void close(uint32_t socket, bool with_reset);
  /** The descriptor, which is the caller's from now on; -1 when there is none. */
  int release(uint32_t socket);
  void keep_alive(uint32_t socket, int after_s) const;
  /** Addresses; false when there are none. */
  bool peer(uint32_t socket, sockaddr_storage* address) const;
  bool own(uint32_t socket, sockaddr_storage* address) const;

 private:
  static constexpr size_t kEventsMax = 128;
  enum class Kind : uint8_t { none, listening, dialing, open };
  struct Socket {
    int fd = -1;
    Kind kind = Kind::none;
    /** A short read does not mean that there is nothing more: an end, an error or urgent data has been announced. */
    bool has_more_behind = false;
    bool is_blocked = false;
    bool is_queued = false;
    /** The turn in which it was last read: nobody has two reads in one. */
    uint32_t last_read = 0;
  };
  struct Accepted {
    uint32_t socket;
    sockaddr_storage address;
  };

  /** Owns the descriptor, also when it cannot. */
  int add(int fd, Kind kind);
  int watch(uint32_t socket, uint32_t events);
  void noted(uint32_t socket, uint32_t events);
  void accept_all(uint32_t listener);
  void refuse_one(uint32_t listener);
  void read_now(uint32_t socket);
  /** It has found no room in this turn. */
  void skip(uint32_t socket);
  /** Whether no more should be read or accepted in this turn: what the kernel has told already must still find room. */
  bool is_full() const { return happened_ + 3 * kEventsMax > kHappenedMax; }
  void tell(Happened what, uint32_t socket, int32_t first = 0, int32_t second = 0, int32_t third = 0);
  void forget(uint32_t socket);

  Shared shared_ = {};
  int epoll_ = -1;
  /** Given up for a moment to turn somebody away when there are no descriptors left. */
  int spare_ = -1;
  size_t open_ = 0;
  size_t happened_ = 0;
  size_t buffered_ = 0;
  uint32_t turn_ = 0;
  /** Where those who came by IPv6 in this turn come from: whoever has reset since has no peer any more. */
  std::vector<Accepted> six_;
  std::vector<Socket> sockets_;
  std::vector<uint32_t> free_;
  /** Closed since the last turn: the numbers of a turn in hand may still speak of them. */
  std::vector<uint32_t> closed_;
  std::vector<uint32_t> later_;
  /** First in the next turn: four sockets that always have more would leave no room for a fifth. */
  std::vector<uint32_t> skipped_;
  std::vector<uint32_t> now_;
};

}  // namespace viaduct
