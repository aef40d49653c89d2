#include "lane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "keep_alive.h"

namespace viaduct {

namespace {
/** From one listener in one turn, so that a storm of new clients leaves time for those who are here. */
constexpr int kAcceptsMax = 64;
constexpr uint32_t kInterest = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
/** Something lies behind the bytes that a read brings: an end, an error, or urgent data, at whose mark every read stops. */
constexpr uint32_t kMoreBehind = EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/** Length of the address, 0 when the text is none. An IPv6 address may name the interface it belongs to. */
socklen_t address_of(const char* text, uint16_t port, sockaddr_storage* address) {
  memset(address, 0, sizeof *address);
  auto* four = reinterpret_cast<sockaddr_in*>(address);
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    return sizeof *four;
  }
  auto* six = reinterpret_cast<sockaddr_in6*>(address);
  std::string bare(text);
  const size_t at = bare.find('%');
  if (at != std::string::npos) {
    six->sin6_scope_id = if_nametoindex(text + at + 1);
    bare.resize(at);
  }
  if (inet_pton(AF_INET6, bare.c_str(), &six->sin6_addr) != 1) return 0;
  six->sin6_family = AF_INET6;
  six->sin6_port = htons(port);
  return sizeof *six;
}

void no_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}
}  // namespace

Lane::~Lane() {
  for (const Socket& socket : sockets_) {
    if (socket.fd >= 0) ::close(socket.fd);
  }
  if (spare_ >= 0) ::close(spare_);
  if (epoll_ >= 0) ::close(epoll_);
}

int Lane::start(const Shared& shared) {
  shared_ = shared;
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return errno;
  spare_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  return 0;
}

size_t Lane::turn() {
  free_.insert(free_.end(), closed_.begin(), closed_.end());
  closed_.clear();
  happened_ = 0;
  buffered_ = 0;
  turn_ += 1;
  six_.clear();
  now_.swap(skipped_);
  now_.insert(now_.end(), later_.begin(), later_.end());
  later_.clear();
  for (const uint32_t socket : now_) {
    sockets_[socket].is_queued = false;
    if (sockets_[socket].kind == Kind::open) read_now(socket);
  }
  now_.clear();
  struct epoll_event events[kEventsMax];
  const int count = epoll_wait(epoll_, events, kEventsMax, 0);
  for (int at = 0; at < count; at++) noted(events[at].data.u32, events[at].events);
  return happened_;
}

void Lane::noted(uint32_t socket, uint32_t events) {
  Socket& one = sockets_[socket];
  if (one.kind == Kind::listening) return accept_all(socket);
  if (one.kind == Kind::dialing) {
    int failed = 0;
    socklen_t size = sizeof failed;
    if (getsockopt(one.fd, SOL_SOCKET, SO_ERROR, &failed, &size) < 0) failed = errno;
    if (failed == 0 && (events & (EPOLLOUT | EPOLLHUP)) == 0) return;
    one.kind = Kind::open;
    tell(Happened::connected, socket, failed);
    if (failed != 0) return;
  }
  if (one.kind != Kind::open) return;
  if ((events & EPOLLOUT) != 0 && one.is_blocked) {
    one.is_blocked = false;
    tell(Happened::writable, socket);
  }
  if ((events & kMoreBehind) != 0) one.has_more_behind = true;
  if ((events & (EPOLLIN | kMoreBehind)) == 0) return;
  // One that was full has had its turn already.
  if (one.last_read == turn_) look_later(socket);
  else read_now(socket);
}

void Lane::read_now(uint32_t socket) {
  Socket& one = sockets_[socket];
  uint8_t& state = shared_.states[socket];
  state |= kReady;
  one.last_read = turn_;
  if ((state & kWanted) == 0) return;
  if (is_full()) return skip(socket);
  if ((state & kReadsItself) != 0) return tell(Happened::readable, socket);
  while (true) {
    if (kBufferBytes - buffered_ < kReadBytes) return skip(socket);
    const ssize_t got = recv(one.fd, shared_.buffer + buffered_, kReadBytes, MSG_DONTWAIT);
    if (got > 0) {
      tell(Happened::bytes, socket, static_cast<int32_t>(buffered_), static_cast<int32_t>(got));
      buffered_ += static_cast<size_t>(got);
      // A full read: there may be more, and it has its next turn. A short one: that was all, unless the end is behind it.
      if (static_cast<size_t>(got) == kReadBytes || is_full()) return look_later(socket);
      if (one.has_more_behind) continue;
      state &= static_cast<uint8_t>(~kReady);
      return;
    }
    if (got < 0 && errno == EINTR) continue;
    state &= static_cast<uint8_t>(~kReady);
    if (got == 0) tell(Happened::ended, socket);
    else if (errno != EAGAIN) tell(Happened::failed, socket, errno);
    return;
  }
}

void Lane::accept_all(uint32_t listener) {
  for (int accepted = 0; accepted < kAcceptsMax && !is_full(); accepted++) {
    sockaddr_storage address;
    socklen_t size = sizeof address;
    const int fd = accept4(sockets_[listener].fd, reinterpret_cast<sockaddr*>(&address), &size,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return;
      tell(Happened::refused, listener, errno);
      if (errno == EMFILE || errno == ENFILE) refuse_one(listener);
      return;
    }
    no_delay(fd);
    const int socket = add(fd, Kind::open);
    if (socket < 0) {
      tell(Happened::refused, listener, -socket);
      continue;
    }
    uint16_t port = 0;
    uint32_t four = 0;
    if (address.ss_family == AF_INET) {
      const auto* known = reinterpret_cast<const sockaddr_in*>(&address);
      port = ntohs(known->sin_port);
      four = ntohl(known->sin_addr.s_addr);
    } else {
      port = ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
      six_.push_back({static_cast<uint32_t>(socket), address});
    }
    tell(Happened::accepted, static_cast<uint32_t>(socket), static_cast<int32_t>(listener), port,
         static_cast<int32_t>(four));
  }
}

/** Without a descriptor the next one in the queue can be neither served nor turned away: one is kept for that. */
void Lane::refuse_one(uint32_t listener) {
  // Another thread may have taken it when it was last given up.
  if (spare_ < 0) spare_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (spare_ < 0) return;
  ::close(spare_);
  const int fd = accept4(sockets_[listener].fd, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) ::close(fd);
  spare_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void Lane::tell(Happened what, uint32_t socket, int32_t first, int32_t second, int32_t third) {
  int32_t* at = shared_.happened + kNumbersEach * happened_++;
  at[0] = static_cast<int32_t>(what);
  at[1] = static_cast<int32_t>(socket);
  at[2] = first;
  at[3] = second;
  at[4] = third;
}

int Lane::add(int fd, Kind kind) {
  uint32_t socket;
  if (!free_.empty()) {
    socket = free_.back();
    free_.pop_back();
  } else if (sockets_.size() < kSocketsMax) {
    socket = static_cast<uint32_t>(sockets_.size());
    sockets_.emplace_back();
  } else {
    ::close(fd);
    return -EMFILE;
  }
  sockets_[socket] = {};
  sockets_[socket].fd = fd;
  sockets_[socket].kind = kind;
  shared_.states[socket] = 0;
  open_ += 1;
  const int failed = kind == Kind::listening ? 0 : watch(socket, kInterest);
  if (failed == 0) return static_cast<int>(socket);
  close(socket, false);
  return -failed;
}

int Lane::watch(uint32_t socket, uint32_t events) {
  struct epoll_event event = {events, {}};
  event.data.u32 = socket;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, sockets_[socket].fd, &event) == 0 ? 0 : errno;
}

int Lane::serve(uint32_t listener) { return watch(listener, EPOLLIN); }

int Lane::listen(const char* text, uint16_t port, int backlog, bool shares_port) {
  sockaddr_storage address;
  const socklen_t size = address_of(text, port, &address);
  if (size == 0) return -EINVAL;
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const int on = 1;
  const int off = 0;
  bool is_good = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
  if (shares_port) is_good = is_good && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0;
  // As Node does: `::` takes IPv4 clients too.
  if (address.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  is_good = is_good && bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 && ::listen(fd, backlog) == 0;
  if (is_good) return add(fd, Kind::listening);
  const int failed = errno;
  ::close(fd);
  return -failed;
}

int Lane::dial(const char* text, uint16_t port) {
  sockaddr_storage address;
  const socklen_t size = address_of(text, port, &address);
  if (size == 0) return -EINVAL;
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  no_delay(fd);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), size) < 0 && errno != EINPROGRESS) {
    const int failed = errno;
    ::close(fd);
    return -failed;
  }
  return add(fd, Kind::dialing);
}

void Lane::look_later(uint32_t socket) {
  Socket& one = sockets_[socket];
  if (one.is_queued || one.kind != Kind::open) return;
  one.is_queued = true;
  later_.push_back(socket);
}

void Lane::skip(uint32_t socket) {
  Socket& one = sockets_[socket];
  if (one.is_queued) return;
  one.is_queued = true;
  skipped_.push_back(socket);
}

long Lane::write(uint32_t socket, const char* bytes, size_t size) {
  Socket& one = sockets_[socket];
  while (true) {
    const ssize_t sent = send(one.fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      if (static_cast<size_t>(sent) < size) one.is_blocked = true;
      return sent;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return -errno;
    one.is_blocked = true;
    return 0;
  }
}

long Lane::read(uint32_t socket, char* bytes, size_t size) {
  Socket& one = sockets_[socket];
  uint8_t& state = shared_.states[socket];
  while (true) {
    const ssize_t got = recv(one.fd, bytes, size, MSG_DONTWAIT);
    if (got > 0) {
      if (static_cast<size_t>(got) < size && !one.has_more_behind) state &= static_cast<uint8_t>(~kReady);
      return got;
    }
    if (got < 0 && errno == EINTR) continue;
    state &= static_cast<uint8_t>(~kReady);
    return got == 0 ? 0 : -errno;
  }
}

int Lane::shut_down(uint32_t socket) { return shutdown(sockets_[socket].fd, SHUT_WR) == 0 ? 0 : errno; }

void Lane::close(uint32_t socket, bool with_reset) {
  Socket& one = sockets_[socket];
  if (one.fd < 0) return;
  if (with_reset) {
    const struct linger at_once = {1, 0};
    setsockopt(one.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  ::close(one.fd);
  forget(socket);
}

int Lane::release(uint32_t socket) {
  Socket& one = sockets_[socket];
  const int fd = one.fd;
  if (fd < 0) return -1;
  // Before anybody closes it: a copy of the descriptor would keep it here.
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  forget(socket);
  return fd;
}

void Lane::forget(uint32_t socket) {
  sockets_[socket].fd = -1;
  sockets_[socket].kind = Kind::none;
  shared_.states[socket] = 0;
  closed_.push_back(socket);
  open_ -= 1;
}

void Lane::keep_alive(uint32_t socket, int after_s) const { keep_alive_on(sockets_[socket].fd, after_s); }

bool Lane::peer(uint32_t socket, sockaddr_storage* address) const {
  for (const Accepted& one : six_) {
    if (one.socket != socket) continue;
    *address = one.address;
    return true;
  }
  socklen_t size = sizeof *address;
  return getpeername(sockets_[socket].fd, reinterpret_cast<sockaddr*>(address), &size) == 0;
}

bool Lane::own(uint32_t socket, sockaddr_storage* address) const {
  socklen_t size = sizeof *address;
  return getsockname(sockets_[socket].fd, reinterpret_cast<sockaddr*>(address), &size) == 0;
}

}  // namespace viaduct
