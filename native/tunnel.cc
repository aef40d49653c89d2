#include "tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "keep_alive.h"
#include "repeats.h"
#include "silence.h"

namespace viaduct {

namespace {
/** After so many reads in a row below this size a direction is read into memory again: cheaper than splicing for small ones. */
constexpr size_t kSmallReadBytes = 8'192;
constexpr uint8_t kSmallReadsMax = 16;
/** So many small reads in a row, of both sides together, are interactive traffic, and not the beginning of a download. */
constexpr uint8_t kInteractiveFrom = 8;
/** A peer that acknowledges nothing for so long has vanished; as `SILENCE_MS_MAX` in net/deferred-keep-alive.ts. */
constexpr unsigned kSilenceMs = 60'000;
bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK; }
/** Splicing itself has failed, and nothing has happened to the connection. */
bool is_no_splice() { return errno == EINVAL || errno == ENOMEM || errno == ENOSYS || errno == EPERM; }
/** Whether bytes have arrived that have not been read; false for a socket that is closed. */
bool has_unread(int fd) {
  int bytes = 0;
  return ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0;
}
}  // namespace

uint64_t coarse_ms() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

PendingBytes::~PendingBytes() { free(bytes_); }

bool PendingBytes::add(const char* bytes, size_t size) {
  if (size == 0) return true;
  const size_t before = this->size();
  char* grown = static_cast<char*>(malloc(before + size));
  if (grown == nullptr) return false;
  if (before > 0) memcpy(grown, data(), before);
  memcpy(grown + before, bytes, size);
  free(bytes_);
  bytes_ = grown;
  at_ = 0;
  end_ = static_cast<uint32_t>(before + size);
  return true;
}

void PendingBytes::drop(size_t size) {
  at_ += static_cast<uint32_t>(size);
  if (at_ < end_) return;
  free(bytes_);
  bytes_ = nullptr;
  at_ = end_ = 0;
}

Tunnel::Tunnel(uint32_t slot, int client, int upstream, uint64_t* counters) : slot(slot) {
  sockets_[kClient].fd = client;
  sockets_[kUpstream].fd = upstream;
  for (Endpoint source : {kClient, kUpstream}) links[source] = {this, source, nullptr, nullptr};
  if (counters != nullptr) count_in(counters);
}

Tunnel::~Tunnel() {
  for (Socket& socket : sockets_) close_socket(socket);
  delete repetition;
}

void Tunnel::count_in(uint64_t* counters) {
  for (Endpoint source : {kClient, kUpstream}) directions_[source].counter = counters + source;
}

void Tunnel::on_ready(Endpoint source, uint32_t events) {
  Socket& socket = sockets_[source];
  if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) socket.is_readable = true;
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) socket.is_writable = true;
  if (events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) socket.has_more_behind = true;
}

bool Tunnel::add_early(Endpoint source, const char* bytes, size_t size) {
  Direction& direction = directions_[source];
  if (!direction.pending.add(bytes, size)) return false;
  if (direction.is_limited) direction.unpaid += size;
  return true;
}

void Tunnel::unlimit(Endpoint source) {
  Direction& direction = directions_[source];
  direction.is_limited = direction.is_asking = direction.is_promised = false;
  direction.budget = direction.unpaid = direction.wanted = 0;
}

void Tunnel::grant(Endpoint source, uint32_t bytes) {
  Direction& direction = directions_[source];
  if (!direction.is_limited) return;
  direction.budget += bytes & ~kGrantMore;
  direction.is_asking = false;
  direction.is_promised = (bytes & kGrantMore) != 0;
}

size_t Tunnel::take_wanted(Endpoint source) {
  const size_t wanted = directions_[source].wanted;
  directions_[source].wanted = 0;
  return wanted;
}

size_t Tunnel::spare(Endpoint source) const {
  const Direction& direction = directions_[source];
  return direction.is_limited && !sockets_[source].is_readable ? direction.budget : 0;
}

size_t Tunnel::take_spare(Endpoint source) {
  const size_t bytes = spare(source);
  directions_[source].budget -= bytes;
  return bytes;
}

void Tunnel::check_peers() {
  for (Socket& socket : sockets_) {
    if (!has_keep_alive_) keep_alive_on(socket.fd, kProbeAfterS);
    socket.is_bound = bound_silence(socket.fd, kSilenceMs, socket.is_bound);
  }
  has_keep_alive_ = true;
}

bool Tunnel::can_move(Endpoint source) const {
  const Direction& direction = directions_[source];
  if (direction.pending.size() > direction.unpaid || direction.piped > 0) return sockets_[other(source)].is_writable;
  if (direction.is_asking) return false;
  if (direction.unpaid > 0) return sockets_[other(source)].is_writable;
  return !direction.is_ended && sockets_[source].is_readable;
}

Tunnel::Step Tunnel::move(Endpoint source, RelayContext& context) {
  Direction& direction = directions_[source];
  const size_t paid = std::min(direction.unpaid, direction.budget);
  direction.unpaid -= paid;
  direction.budget -= paid;
  const Step flushed = flush(source, context);
  if (flushed != Step::again) return flushed;
  if (direction.unpaid > 0) return ask(source, direction.unpaid, context);
  if (direction.is_done) return Step::waits;
  if (direction.is_ended) return end_of(source, context);
  if (!sockets_[source].is_readable) return drained(source, context);
  if (direction.is_limited && direction.budget == 0) return look(source, context);
  if (direction.is_bulk && direction.pipe == nullptr) direction.pipe = context.pipes.take();
  return direction.pipe == nullptr ? read_through(source, context) : splice_through(source, context);
}

Tunnel::Step Tunnel::read_through(Endpoint source, RelayContext& context) {
  Direction& direction = directions_[source];
  Socket& from = sockets_[source];
  const size_t most = direction.is_limited ? std::min(direction.budget, RelayContext::kReadBytes) : RelayContext::kReadBytes;
  const ssize_t got = recv(from.fd, context.buffer, most, 0);
  if (got == 0) return end_of(source, context);
  if (got < 0) {
    if (errno == EINTR) return Step::again;
    return would_block() ? drained(source, context) : failed(source, context);
  }
  const size_t size = static_cast<size_t>(got);
  if (direction.is_limited) direction.budget -= size;
  if (size == RelayContext::kReadBytes) {
    direction.is_bulk = true;
    direction.small_reads = 0;
    interactive_reads_ = 0;
  } else {
    // Small reads between two splices belong to bulk data, and so do those of a small grant.
    if (direction.pipe != nullptr || (size == most && size >= kSmallReadBytes)) interactive_reads_ = 0;
    else if (interactive_reads_ >= kInteractiveFrom) context.interactive_ms = coarse_ms();
    else interactive_reads_++;
    // The socket is empty; the next bytes raise another edge.
    if (!from.has_more_behind && size < most) from.is_readable = false;
  }
  const ssize_t put = send(sockets_[other(source)].fd, context.buffer, size, MSG_NOSIGNAL);
  if (put < 0 && errno != EINTR && !would_block()) return failed(other(source), context);
  const size_t written = put < 0 ? 0 : static_cast<size_t>(put);
  count(direction, written);
  if (written < size) {
    if (!direction.pending.add(context.buffer + written, size - written)) return broken(context);
    const Step flushed = flush(source, context);
    if (flushed != Step::again) return flushed;
  }
  return can_move(source) ? Step::again : Step::waits;
}

Tunnel::Step Tunnel::splice_through(Endpoint source, RelayContext& context) {
  Direction& direction = directions_[source];
  const size_t slice = std::min({direction.pipe->bytes, context.slice_bytes, direction.slice_bytes});
  const size_t wanted = direction.is_limited ? std::min(slice, direction.budget) : slice;
  const ssize_t got = splice(sockets_[source].fd, nullptr, direction.pipe->write_end, nullptr, wanted, SPLICE_F_NONBLOCK);
  if (got < 0 && errno == EINTR) return Step::again;
  // The kernel reports an error of the connection once; the next read would report an end.
  if (got < 0 && !would_block() && !is_no_splice()) return failed(source, context);
  // No bytes, the end, urgent data, which splice never passes, or no page for a pipe: splice returns the same for all.
  if (got <= 0) return read_through(source, context);
  direction.piped = static_cast<size_t>(got);
  if (direction.is_limited) direction.budget -= direction.piped;
  if (direction.piped >= kSmallReadBytes) direction.small_reads = 0;
  else if (++direction.small_reads >= kSmallReadsMax) direction.is_bulk = false;
  const Step flushed = flush(source, context);
  if (flushed != Step::again) return flushed;
  if (static_cast<size_t>(got) >= slice) direction.slice_bytes = std::min(direction.slice_bytes * 2, Pipes::kBytes);
  // How much a pipe takes depends on how the bytes lie in memory: less than asked for does not mean that this was all.
  return Step::again;
}

/** The kernel has no more bytes of the socket for now. */
Tunnel::Step Tunnel::drained(Endpoint source, RelayContext& context) {
  Direction& direction = directions_[source];
  sockets_[source].is_readable = false;
  give_back_pipe(direction, context);
  return Step::waits;
}

void Tunnel::give_back_pipe(Direction& direction, RelayContext& context) {
  if (direction.pipe == nullptr) return;
  context.pipes.give_back(direction.pipe);
  direction.pipe = nullptr;
}

Tunnel::Step Tunnel::look(Endpoint source, RelayContext& context) {
  const int from = sockets_[source].fd;
  char byte;
  const ssize_t got = recv(from, &byte, 1, MSG_PEEK);
  if (got == 0) return end_of(source, context);
  if (got < 0) {
    if (errno == EINTR) return Step::again;
    return would_block() ? drained(source, context) : failed(source, context);
  }
  // More is on its way behind bulk data; what then does not come is given back.
  if (directions_[source].is_bulk) return ask(source, kGrantBytesMax, context);
  int waiting = 0;
  if (ioctl(from, FIONREAD, &waiting) < 0 || waiting < 1) waiting = 1;
  return ask(source, static_cast<size_t>(waiting), context);
}

/** A direction that waits must not keep a pipe that others need. */
Tunnel::Step Tunnel::ask(Endpoint source, size_t bytes, RelayContext& context) {
  Direction& direction = directions_[source];
  give_back_pipe(direction, context);
  direction.is_asking = true;
  direction.wanted = direction.is_promised ? 0 : static_cast<uint32_t>(std::min(bytes, kGrantBytesMax));
  return Step::waits;
}

/** The source has ended: the FIN is passed on behind the last byte, and the other half stays open. */
Tunnel::Step Tunnel::end_of(Endpoint source, RelayContext& context) {
  Direction& direction = directions_[source];
  drained(source, context);
  direction.is_ended = true;
  direction.is_done = true;
  if (!has_ended_one_) {
    has_ended_one_ = true;
    first_to_end_ = source;
  }
  if (!directions_[other(source)].is_done) {
    // Fails where the peer has reset the connection; the next read from it reports that.
    shutdown(sockets_[other(source)].fd, SHUT_WR);
    return Step::waits;
  }
  // Both directions are done: closing sends the same FIN, and saves a system call.
  end_ = static_cast<TunnelEnd>(first_to_end_);
  for (Socket& socket : sockets_) close_socket(socket);
  return Step::over;
}

/** Resets both sides: a FIN would tell the side that is left that the data is complete. */
Tunnel::Step Tunnel::broken(RelayContext& context) {
  abort(context);
  end_ = TunnelEnd::error;
  return Step::over;
}

/** The connection to `endpoint` has failed with errno. A client that resets its connection has left, which is not an error. */
Tunnel::Step Tunnel::failed(Endpoint endpoint, RelayContext& context) {
  const bool has_left = endpoint == kClient && (errno == ECONNRESET || errno == EPIPE);
  const Step over = broken(context);
  if (has_left) end_ = static_cast<TunnelEnd>(has_ended_one_ ? first_to_end_ : kClient);
  return over;
}

Tunnel::Step Tunnel::flush(Endpoint source, RelayContext& context) {
  Direction& direction = directions_[source];
  const int to = sockets_[other(source)].fd;
  while (direction.pending.size() > direction.unpaid) {
    const size_t paid = direction.pending.size() - direction.unpaid;
    const ssize_t put = send(to, direction.pending.data(), paid, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return would_block() ? blocked(source, context) : failed(other(source), context);
    direction.pending.drop(static_cast<size_t>(put));
    count(direction, static_cast<size_t>(put));
  }
  while (direction.piped > 0) {
    const ssize_t put = splice(direction.pipe->read_end, nullptr, to, nullptr, direction.piped, SPLICE_F_NONBLOCK);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return would_block() ? blocked(source, context) : failed(other(source), context);
    // The kernel reports an empty pipe, though bytes were put into it.
    if (put == 0) return broken(context);
    direction.piped -= static_cast<size_t>(put);
    count(direction, static_cast<size_t>(put));
  }
  return Step::again;
}

/** A reader that has stopped must not keep a pipe that other directions need. */
Tunnel::Step Tunnel::blocked(Endpoint source, RelayContext& context) {
  Direction& direction = directions_[source];
  sockets_[other(source)].is_writable = false;
  direction.slice_bytes = std::max(direction.slice_bytes / 2, kSliceMin);
  if (direction.pipe == nullptr || (direction.piped > 0 && !context.pipes.is_short())) return Step::waits;
  if (direction.piped > 0 && !unpipe(direction)) return broken(context);
  context.pipes.give_back(direction.pipe);
  direction.pipe = nullptr;
  return Step::waits;
}

bool Tunnel::unpipe(Direction& direction) {
  char* bytes = static_cast<char*>(malloc(direction.piped));
  if (bytes == nullptr) return false;
  size_t size = 0;
  while (size < direction.piped) {
    const ssize_t got = read(direction.pipe->read_end, bytes + size, direction.piped - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += static_cast<size_t>(got);
  }
  const bool is_whole = size == direction.piped && direction.pending.add(bytes, size);
  free(bytes);
  direction.piped = is_whole ? 0 : direction.piped;
  return is_whole;
}

void Tunnel::count(Direction& direction, size_t bytes) {
  direction.moved += bytes;
  __atomic_store_n(direction.counter, direction.moved, __ATOMIC_RELAXED);
}

void Tunnel::close_both(RelayContext& context) {
  bool is_missing[2];
  for (Endpoint source : {kClient, kUpstream}) {
    const Direction& coming = directions_[other(source)];
    // Bytes that arrived just before have not been read yet, and are missing all the same.
    is_missing[source] = coming.pending.size() > 0 || coming.piped > 0 || has_unread(sockets_[other(source)].fd);
  }
  for (Endpoint source : {kClient, kUpstream}) {
    if (is_missing[source]) reset_socket(sockets_[source]);
    else close_socket(sockets_[source]);
  }
  release_pipes(context);
  end_ = TunnelEnd::stopped;
}

void Tunnel::abort(RelayContext& context) {
  for (Socket& socket : sockets_) reset_socket(socket);
  release_pipes(context);
  end_ = TunnelEnd::stopped;
}

void Tunnel::release_pipes(RelayContext& context) {
  for (Direction& direction : directions_) {
    if (direction.pipe == nullptr) continue;
    if (direction.piped > 0) context.pipes.discard(direction.pipe);
    else context.pipes.give_back(direction.pipe);
    direction.pipe = nullptr;
    direction.piped = 0;
  }
}

void Tunnel::close_socket(Socket& socket) {
  if (socket.fd >= 0) close(socket.fd);
  socket.fd = -1;
}

void Tunnel::reset_socket(Socket& socket) {
  const struct linger at_once = {1, 0};
  if (socket.fd >= 0) setsockopt(socket.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close_socket(socket);
}

}  // namespace viaduct
