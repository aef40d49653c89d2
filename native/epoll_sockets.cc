#include "epoll_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "address_text.h"
#include "keep_alive.h"
#include "silence.h"
#include "urgent.h"

namespace viaduct {

namespace {
/** From one listener in one tick, so that a storm of new clients leaves time for the clients that are here. */
constexpr int kAcceptsMax = 64;
constexpr uint32_t kInterest = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
/** Something lies behind the bytes that a read brings: an end, an error, or urgent data, at whose mark every read stops. */
constexpr uint32_t kMoreBehind = EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/** Whether accept4 has failed because of one client, so that the next call may succeed: accept(2) names these. */
bool is_of_one_client(int failed) {
  switch (failed) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
      return true;
    default:
      return false;
  }
}

void no_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/**
 * Whether the socket has that local address; a size of 0: the system chooses one. The port is left to `connect`
 * (IP_BIND_ADDRESS_NO_PORT, ip(7)), which knows the other end: one port may then lead to many targets. An old kernel that
 * does not know the option gives a port at once.
 */
bool bound_to(int fd, const sockaddr_storage& local, socklen_t size) {
  if (size == 0) return true;
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  return bind(fd, reinterpret_cast<const sockaddr*>(&local), size) == 0;
}
}  // namespace

EpollSockets::~EpollSockets() {
  for (const Socket& socket : sockets_) {
    if (socket.fd >= 0) ::close(socket.fd);
  }
  if (epoll_ >= 0) ::close(epoll_);
  for (const HandedBack& client : handed_back_) {
    ::close(client.fd);
    free(client.bytes);
  }
}

int EpollSockets::start(const Shared& shared) {
  shared_ = shared;
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  return epoll_ < 0 ? errno : 0;
}

EpollSockets::Socket* EpollSockets::find(uint32_t number) {
  const uint32_t index = number & kIndexMask;
  if (index >= sockets_.size()) return nullptr;
  Socket& socket = sockets_[index];
  return socket.fd >= 0 && number_of(index) == number ? &socket : nullptr;
}

size_t EpollSockets::tick() {
  free_.insert(free_.end(), closed_.begin(), closed_.end());
  closed_.clear();
  posted_ = 0;
  buffered_ = 0;
  tick_ += 1;
  six_.clear();
  now_.swap(skipped_);
  now_.insert(now_.end(), later_.begin(), later_.end());
  later_.clear();
  for (const uint32_t number : now_) {
    Socket* socket = find(number);
    if (socket == nullptr) continue;
    socket->is_queued = false;
    if (socket->kind == Kind::open) read_now(number, *socket);
  }
  now_.clear();
  struct epoll_event events[kReadyMax];
  const int count = epoll_wait(epoll_, events, kReadyMax, 0);
  for (int at = 0; at < count; at++) {
    if (events[at].data.u32 != kHandedBack) on_ready(events[at].data.u32, events[at].events);
    else if (repeats_ != nullptr) repeats_->take_handed_back(&handed_back_);
  }
  if (!handed_back_.empty()) admit_handed_back();
  return posted_;
}

void EpollSockets::on_ready(uint32_t number, uint32_t events) {
  Socket* found = find(number);
  if (found == nullptr) return;
  Socket& socket = *found;
  if (socket.kind == Kind::listening) return accept_all(number, socket.fd);
  if (socket.kind == Kind::dialing) {
    int failed = 0;
    socklen_t size = sizeof failed;
    if (getsockopt(socket.fd, SOL_SOCKET, SO_ERROR, &failed, &size) < 0) failed = errno;
    if (failed == 0 && (events & (EPOLLOUT | EPOLLHUP)) == 0) return;
    socket.kind = Kind::open;
    post(SocketEvent::connected, number, failed);
    if (failed != 0) return;
  }
  if (socket.kind != Kind::open) return;
  if ((events & EPOLLOUT) != 0 && socket.is_blocked) {
    socket.is_blocked = false;
    post(SocketEvent::writable, number);
  }
  if ((events & kMoreBehind) != 0) socket.has_more_behind = true;
  if ((events & (EPOLLIN | kMoreBehind)) == 0) return;
  // One that had more than a tick reads was read in this tick already.
  if (socket.last_read == tick_) read_later(number, socket);
  else read_now(number, socket);
}

void EpollSockets::read_now(uint32_t number, Socket& socket) {
  uint8_t& state = state_of(number);
  state |= kStateReady;
  socket.last_read = tick_;
  if ((state & kStateWanted) == 0) return;
  if (is_full()) return skip(number, socket);
  if ((state & kStateOwnerReads) != 0) return post(SocketEvent::readable, number);
  while (true) {
    if (kSharedBufferBytes - buffered_ < kReadBytes) return skip(number, socket);
    const ssize_t got = recv(socket.fd, shared_.buffer + buffered_, kReadBytes, MSG_DONTWAIT);
    if (got > 0) {
      post(SocketEvent::bytes, number, static_cast<int32_t>(buffered_), static_cast<int32_t>(got));
      buffered_ += static_cast<size_t>(got);
      // After a full read there may be more: the next tick reads it. After a short one not, unless an end is announced.
      if (static_cast<size_t>(got) == kReadBytes || is_full()) return read_later(number, socket);
      if (socket.has_more_behind) continue;
      state &= static_cast<uint8_t>(~kStateReady);
      return;
    }
    if (got < 0 && errno == EINTR) continue;
    state &= static_cast<uint8_t>(~kStateReady);
    if (got == 0) post(SocketEvent::ended, number);
    else if (errno != EAGAIN) post(SocketEvent::failed, number, errno);
    return;
  }
}

void EpollSockets::accept_all(uint32_t listener, int listening_fd) {
  const bool is_offering = repeats_ != nullptr && repeats_->serves(listener);
  for (int accepted = 0; accepted < kAcceptsMax && !is_full(); accepted++) {
    sockaddr_storage address;
    socklen_t size = sizeof address;
    const int fd = accept4(listening_fd, reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EAGAIN) return;
      if (is_of_one_client(errno)) continue;
      // Without a descriptor or memory. Trying again at every tick would use a core; clients wait in the backlog.
      post(SocketEvent::accept_failed, listener, errno);
      return pause(listener);
    }
    if (is_offering && offer(listener, fd, address)) continue;
    if (admit(listener, fd, address) < 0) return pause(listener);
  }
}

int EpollSockets::admit(uint32_t listener, int fd, const sockaddr_storage& address) {
  const int number = add(fd, Kind::open);
  if (number < 0) {
    // The kernel has no watch or no memory for it. It is closed, and the next client would be too.
    post(SocketEvent::accept_failed, listener, -number);
    return number;
  }
  uint16_t port = 0;
  uint32_t four = 0;
  if (address.ss_family == AF_INET) {
    const auto& known = reinterpret_cast<const sockaddr_in&>(address);
    port = ntohs(known.sin_port);
    four = ntohl(known.sin_addr.s_addr);
  } else {
    port = ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
    six_.push_back({static_cast<uint32_t>(number), address});
  }
  post(SocketEvent::accepted, static_cast<uint32_t>(number), static_cast<int32_t>(listener), port,
       static_cast<int32_t>(four));
  return number;
}

bool EpollSockets::offer(uint32_t listener, int fd, const sockaddr_storage& address) {
  if (kSharedBufferBytes - buffered_ < kReadBytes) return false;
  char* bytes = shared_.buffer + buffered_;
  const ssize_t got = recv(fd, bytes, kReadBytes, MSG_DONTWAIT);
  // Of a client that has ended or failed already, the kernel says so again.
  if (got <= 0) return false;
  const size_t size = static_cast<size_t>(got);
  if (repeats_->take(listener, fd, address, bytes, size)) return true;
  const int number = admit(listener, fd, address);
  if (number < 0) {
    pause(listener);
    return true;
  }
  post(SocketEvent::bytes, static_cast<uint32_t>(number), static_cast<int32_t>(buffered_), static_cast<int32_t>(got));
  buffered_ += size;
  return true;
}

int EpollSockets::repeat_with(Repeats* repeats) {
  repeats_ = repeats;
  if (repeats == nullptr) return 0;
  struct epoll_event event = {EPOLLIN, {}};
  event.data.u32 = kHandedBack;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, repeats->fd(), &event) == 0 ? 0 : errno;
}

void EpollSockets::await_bytes(uint32_t number) {
  const Socket* socket = find(number);
  const int after_s = 1;
  if (socket != nullptr) setsockopt(socket->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &after_s, sizeof after_s);
}

void EpollSockets::admit_handed_back() {
  size_t done = 0;
  for (; done < handed_back_.size(); done++) {
    const HandedBack& client = handed_back_[done];
    const Socket* listener = find(client.listener);
    if (listener == nullptr || listener->kind != Kind::listening) ::close(client.fd);
    else if (is_full() || kSharedBufferBytes - buffered_ < client.size) break;
    else if (const int number = admit(client.listener, client.fd, client.peer); number >= 0) {
      memcpy(shared_.buffer + buffered_, client.bytes, client.size);
      post(SocketEvent::bytes, static_cast<uint32_t>(number), static_cast<int32_t>(buffered_),
           static_cast<int32_t>(client.size));
      buffered_ += client.size;
    }
    free(client.bytes);
  }
  handed_back_.erase(handed_back_.begin(), handed_back_.begin() + static_cast<long>(done));
}

void EpollSockets::post(SocketEvent kind, uint32_t number, int32_t a, int32_t b, int32_t c) {
  int32_t* at = shared_.events + kNumbersPerEvent * posted_++;
  at[0] = static_cast<int32_t>(kind);
  at[1] = static_cast<int32_t>(number);
  at[2] = a;
  at[3] = b;
  at[4] = c;
}

int EpollSockets::add(int fd, Kind kind) {
  uint32_t index;
  if (!free_.empty()) {
    index = free_.back();
    free_.pop_back();
  } else if (sockets_.size() < kSocketsMax) {
    index = static_cast<uint32_t>(sockets_.size());
    sockets_.emplace_back();
  } else {
    ::close(fd);
    return -EMFILE;
  }
  const uint16_t generation = sockets_[index].generation;
  sockets_[index] = {};
  sockets_[index].fd = fd;
  sockets_[index].kind = kind;
  sockets_[index].generation = generation;
  shared_.states[index] = 0;
  open_ += 1;
  const uint32_t number = number_of(index);
  const int failed = kind == Kind::listening ? 0 : watch(number, fd, kInterest);
  if (failed == 0) return static_cast<int>(number);
  close(number);
  return -failed;
}

int EpollSockets::watch(uint32_t number, int fd, uint32_t events) {
  struct epoll_event event = {events, {}};
  event.data.u32 = number;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

int EpollSockets::serve(uint32_t number) {
  const Socket* socket = find(number);
  if (socket == nullptr || socket->kind != Kind::listening) return EBADF;
  const int failed = watch(number, socket->fd, EPOLLIN);
  return failed == EEXIST ? 0 : failed;
}

void EpollSockets::pause(uint32_t number) {
  const Socket* socket = find(number);
  if (socket != nullptr && socket->kind == Kind::listening) epoll_ctl(epoll_, EPOLL_CTL_DEL, socket->fd, nullptr);
}

int EpollSockets::listen(const char* text, uint16_t port, int backlog, bool shares_port) {
  sockaddr_storage address;
  const socklen_t size = socket_address_of(text, port, &address);
  if (size == 0) return -EINVAL;
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const int on = 1;
  const int off = 0;
  bool is_good = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
  if (shares_port) is_good = is_good && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0;
  keep_urgent_inline(fd);
  // Accepted sockets inherit it.
  no_delay(fd);
  // As Node does: `::` takes IPv4 clients too.
  if (address.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  is_good = is_good && bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 && ::listen(fd, backlog) == 0;
  if (is_good) return add(fd, Kind::listening);
  const int failed = errno;
  ::close(fd);
  return -failed;
}

int EpollSockets::dial(const char* text, uint16_t port, const char* from) {
  sockaddr_storage address;
  const socklen_t size = socket_address_of(text, port, &address);
  sockaddr_storage local;
  const socklen_t local_size = *from == '\0' ? 0 : socket_address_of(from, 0, &local);
  if (size == 0 || (*from != '\0' && local_size == 0)) return -EINVAL;
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  no_delay(fd);
  keep_urgent_inline(fd);
  if (!bound_to(fd, local, local_size) ||
      (connect(fd, reinterpret_cast<sockaddr*>(&address), size) < 0 && errno != EINPROGRESS)) {
    const int failed = errno;
    ::close(fd);
    return -failed;
  }
  return add(fd, Kind::dialing);
}

void EpollSockets::read_later(uint32_t number) {
  Socket* socket = find(number);
  if (socket != nullptr && socket->kind == Kind::open) read_later(number, *socket);
}

void EpollSockets::read_later(uint32_t number, Socket& socket) {
  if (socket.is_queued) return;
  socket.is_queued = true;
  later_.push_back(number);
}

void EpollSockets::skip(uint32_t number, Socket& socket) {
  if (socket.is_queued) return;
  socket.is_queued = true;
  skipped_.push_back(number);
}

long EpollSockets::write(uint32_t number, const char* bytes, size_t size) {
  Socket* socket = find(number);
  if (socket == nullptr) return -EBADF;
  while (true) {
    const ssize_t sent = send(socket->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      if (static_cast<size_t>(sent) < size) socket->is_blocked = true;
      return sent;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return -errno;
    socket->is_blocked = true;
    return 0;
  }
}

long EpollSockets::read(uint32_t number, char* bytes, size_t size) {
  const Socket* socket = find(number);
  if (socket == nullptr) return -EBADF;
  uint8_t& state = state_of(number);
  while (true) {
    const ssize_t got = recv(socket->fd, bytes, size, MSG_DONTWAIT);
    if (got > 0) {
      if (static_cast<size_t>(got) < size && !socket->has_more_behind) state &= static_cast<uint8_t>(~kStateReady);
      return got;
    }
    if (got < 0 && errno == EINTR) continue;
    state &= static_cast<uint8_t>(~kStateReady);
    return got == 0 ? 0 : -errno;
  }
}

bool EpollSockets::is_quiet(uint32_t number) {
  const Socket* socket = find(number);
  if (socket == nullptr) return false;
  char byte;
  // Not by its state alone: bytes may have come since the last tick.
  if (recv(socket->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN) return false;
  state_of(number) &= static_cast<uint8_t>(~kStateReady);
  return true;
}

int EpollSockets::shut_down(uint32_t number) {
  const Socket* socket = find(number);
  if (socket == nullptr) return EBADF;
  return shutdown(socket->fd, SHUT_WR) == 0 ? 0 : errno;
}

void EpollSockets::close(uint32_t number) {
  Socket* socket = find(number);
  if (socket == nullptr) return;
  ::close(socket->fd);
  forget(number, *socket);
}

void EpollSockets::reset(uint32_t number) {
  const Socket* socket = find(number);
  if (socket == nullptr) return;
  const struct linger at_once = {1, 0};
  setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(number);
}

int EpollSockets::take_fd(uint32_t number) {
  Socket* socket = find(number);
  if (socket == nullptr) return -1;
  const int fd = socket->fd;
  // Closing would not do so: a copy of the descriptor keeps it in the epoll set.
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  // Its next owner does not know of the bound, and would not lift it.
  if (socket->is_bound) bound_silence_by(fd, 0);
  forget(number, *socket);
  return fd;
}

void EpollSockets::forget(uint32_t number, Socket& socket) {
  socket.fd = -1;
  socket.kind = Kind::none;
  socket.generation = static_cast<uint16_t>((socket.generation + 1) % kGenerations);
  state_of(number) = 0;
  closed_.push_back(number & kIndexMask);
  open_ -= 1;
}

void EpollSockets::keep_alive(uint32_t number, int after_s) {
  const Socket* socket = find(number);
  if (socket != nullptr) keep_alive_on(socket->fd, after_s);
}

void EpollSockets::bound_silence(uint32_t number, unsigned after_ms) {
  Socket* socket = find(number);
  if (socket != nullptr) socket->is_bound = viaduct::bound_silence(socket->fd, after_ms, socket->is_bound);
}

bool EpollSockets::peer(uint32_t number, sockaddr_storage* address) {
  const Socket* socket = find(number);
  if (socket == nullptr) return false;
  for (const Accepted& one : six_) {
    if (one.number != number) continue;
    *address = one.address;
    return true;
  }
  socklen_t size = sizeof *address;
  return getpeername(socket->fd, reinterpret_cast<sockaddr*>(address), &size) == 0;
}

bool EpollSockets::local(uint32_t number, sockaddr_storage* address) {
  const Socket* socket = find(number);
  socklen_t size = sizeof *address;
  return socket != nullptr && getsockname(socket->fd, reinterpret_cast<sockaddr*>(address), &size) == 0;
}

}  // namespace viaduct
