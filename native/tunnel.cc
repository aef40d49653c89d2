#include "tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "keep_alive.h"

namespace viaduct {

namespace {
/** So many reads in a row below this size, and a direction is read into memory again: that is cheaper for small ones. */
constexpr size_t kSmallReadBytes = 8'192;
constexpr uint8_t kSmallReadsMax = 16;
/** So many small reads in a row, of both sides together, are a conversation, and not the beginning of a download. */
constexpr uint8_t kSmallTalkFrom = 8;
bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK; }
}  // namespace

uint64_t coarse_ms() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

Held::~Held() { free(bytes_); }

bool Held::add(const char* bytes, size_t size) {
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

void Held::drop(size_t size) {
  at_ += static_cast<uint32_t>(size);
  if (at_ < end_) return;
  free(bytes_);
  bytes_ = nullptr;
  at_ = end_ = 0;
}

Tunnel::Tunnel(uint32_t slot, int client, int upstream, uint64_t* counters) : slot(slot) {
  sides_[kClient].fd = client;
  sides_[kUpstream].fd = upstream;
  for (Who who : {kClient, kUpstream}) {
    ways_[who].counter = counters + who;
    links[who] = {this, who, nullptr, nullptr};
  }
}

Tunnel::~Tunnel() {
  for (Side& side : sides_) close_side(side);
}

void Tunnel::noted(Who who, uint32_t events) {
  Side& side = sides_[who];
  if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) side.is_readable = true;
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) side.is_writable = true;
  if (events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) side.has_more_behind = true;
}

void Tunnel::keep_alive() const {
  for (const Side& side : sides_) keep_alive_on(side.fd, kProbeAfterS);
}

bool Tunnel::can_move(Who who) const {
  const Way& way = ways_[who];
  if (way.held.size() > 0 || way.piped > 0) return sides_[other(who)].is_writable;
  return !way.is_ended && sides_[who].is_readable;
}

Tunnel::Step Tunnel::move(Who who, Tools& tools) {
  const Step flushed = flush(who, tools);
  if (flushed != Step::again) return flushed;
  Way& way = ways_[who];
  if (way.is_done) return Step::waits;
  if (way.is_ended) return end_of(who, tools);
  if (!sides_[who].is_readable) return drained(who, tools);
  if (way.is_bulk && way.pipe == nullptr) way.pipe = tools.pipes.take();
  return way.pipe == nullptr ? read_through(who, tools) : splice_through(who, tools);
}

Tunnel::Step Tunnel::read_through(Who who, Tools& tools) {
  Way& way = ways_[who];
  Side& from = sides_[who];
  const ssize_t got = recv(from.fd, tools.buffer, Tools::kReadBytes, 0);
  if (got == 0) return end_of(who, tools);
  if (got < 0) {
    if (errno == EINTR) return Step::again;
    return would_block() ? drained(who, tools) : broken(tools);
  }
  const size_t size = static_cast<size_t>(got);
  if (size == Tools::kReadBytes) {
    way.is_bulk = true;
    way.small_reads = 0;
    small_talk_ = 0;
  } else {
    if (small_talk_ >= kSmallTalkFrom) tools.small_talk_ms = coarse_ms();
    else small_talk_++;
    // Nothing was left; whatever comes now is another edge.
    if (!from.has_more_behind) from.is_readable = false;
  }
  const ssize_t put = send(sides_[other(who)].fd, tools.buffer, size, MSG_NOSIGNAL);
  if (put < 0 && errno != EINTR && !would_block()) return broken(tools);
  const size_t written = put < 0 ? 0 : static_cast<size_t>(put);
  count(way, written);
  if (written < size) {
    if (!way.held.add(tools.buffer + written, size - written)) return broken(tools);
    const Step flushed = flush(who, tools);
    if (flushed != Step::again) return flushed;
  }
  return can_move(who) ? Step::again : Step::waits;
}

Tunnel::Step Tunnel::splice_through(Who who, Tools& tools) {
  Way& way = ways_[who];
  const size_t wanted = std::min({way.pipe->bytes, tools.turn_bytes, way.turn});
  const ssize_t got = splice(sides_[who].fd, nullptr, way.pipe->write_end, nullptr, wanted, SPLICE_F_NONBLOCK);
  if (got == 0) return end_of(who, tools);
  if (got < 0) {
    if (errno == EINTR) return Step::again;
    return would_block() ? drained(who, tools) : broken(tools);
  }
  way.piped = static_cast<size_t>(got);
  if (way.piped >= kSmallReadBytes) way.small_reads = 0;
  else if (++way.small_reads >= kSmallReadsMax) way.is_bulk = false;
  const Step flushed = flush(who, tools);
  if (flushed != Step::again) return flushed;
  if (static_cast<size_t>(got) >= wanted) way.turn = std::min(way.turn * 2, Pipes::kBytes);
  // How much a pipe takes depends on how the bytes lie in memory: less than was wanted does not mean that this was all.
  return Step::again;
}

/** The socket has nothing more for now. */
Tunnel::Step Tunnel::drained(Who who, Tools& tools) {
  Way& way = ways_[who];
  sides_[who].is_readable = false;
  if (way.pipe != nullptr) {
    tools.pipes.give_back(way.pipe);
    way.pipe = nullptr;
  }
  return Step::waits;
}

/** The source has ended: the FIN is passed on behind the last byte, and the other half stays open. */
Tunnel::Step Tunnel::end_of(Who who, Tools& tools) {
  Way& way = ways_[who];
  drained(who, tools);
  way.is_ended = true;
  way.is_done = true;
  if (!has_ended_one_) {
    has_ended_one_ = true;
    first_to_end_ = who;
  }
  if (!ways_[other(who)].is_done) {
    // Fails where the peer has reset the connection; reading from it will tell.
    shutdown(sides_[other(who)].fd, SHUT_WR);
    return Step::waits;
  }
  // Both halves are through: closing says the same as a FIN, and saves one.
  end_ = static_cast<End>(first_to_end_);
  for (Side& side : sides_) close_side(side);
  return Step::over;
}

/** Whoever is left learns of the cut as a cut: a FIN would tell it that the data is complete. */
Tunnel::Step Tunnel::broken(Tools& tools) {
  abort(tools);
  end_ = End::error;
  return Step::over;
}

Tunnel::Step Tunnel::flush(Who who, Tools& tools) {
  Way& way = ways_[who];
  const int to = sides_[other(who)].fd;
  while (way.held.size() > 0) {
    const ssize_t put = send(to, way.held.data(), way.held.size(), MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return would_block() ? blocked(who, tools) : broken(tools);
    way.held.drop(static_cast<size_t>(put));
    count(way, static_cast<size_t>(put));
  }
  while (way.piped > 0) {
    const ssize_t put = splice(way.pipe->read_end, nullptr, to, nullptr, way.piped, SPLICE_F_NONBLOCK);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return would_block() ? blocked(who, tools) : broken(tools);
    // The pipe says that it is empty, and we know that it is not.
    if (put == 0) return broken(tools);
    way.piped -= static_cast<size_t>(put);
    count(way, static_cast<size_t>(put));
  }
  return Step::again;
}

/** A reader that has stopped must not keep a pipe that others could move bytes through. */
Tunnel::Step Tunnel::blocked(Who who, Tools& tools) {
  Way& way = ways_[who];
  sides_[other(who)].is_writable = false;
  way.turn = std::max(way.turn / 2, kTurnMin);
  if (way.pipe == nullptr || (way.piped > 0 && !tools.pipes.is_short())) return Step::waits;
  if (way.piped > 0 && !unpipe(way)) return broken(tools);
  tools.pipes.give_back(way.pipe);
  way.pipe = nullptr;
  return Step::waits;
}

bool Tunnel::unpipe(Way& way) {
  char* bytes = static_cast<char*>(malloc(way.piped));
  if (bytes == nullptr) return false;
  size_t size = 0;
  while (size < way.piped) {
    const ssize_t got = read(way.pipe->read_end, bytes + size, way.piped - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += static_cast<size_t>(got);
  }
  const bool is_whole = size == way.piped && way.held.add(bytes, size);
  free(bytes);
  way.piped = is_whole ? 0 : way.piped;
  return is_whole;
}

void Tunnel::count(Way& way, size_t bytes) {
  way.moved += bytes;
  __atomic_store_n(way.counter, way.moved, __ATOMIC_RELAXED);
}

void Tunnel::cut(Tools& tools) {
  for (Who who : {kClient, kUpstream}) {
    const Way& coming = ways_[other(who)];
    if (coming.held.size() > 0 || coming.piped > 0) reset_side(sides_[who]);
    else close_side(sides_[who]);
  }
  release_pipes(tools);
  end_ = End::stopped;
}

void Tunnel::abort(Tools& tools) {
  for (Side& side : sides_) reset_side(side);
  release_pipes(tools);
  end_ = End::stopped;
}

bool Tunnel::release(Tools& tools) {
  for (Way& way : ways_) {
    if (way.piped == 0 || unpipe(way)) continue;
    broken(tools);
    return false;
  }
  release_pipes(tools);
  for (Side& side : sides_) side.fd = -1;
  return true;
}

void Tunnel::release_pipes(Tools& tools) {
  for (Way& way : ways_) {
    if (way.pipe == nullptr) continue;
    if (way.piped > 0) tools.pipes.discard(way.pipe);
    else tools.pipes.give_back(way.pipe);
    way.pipe = nullptr;
    way.piped = 0;
  }
}

void Tunnel::close_side(Side& side) {
  if (side.fd >= 0) close(side.fd);
  side.fd = -1;
}

void Tunnel::reset_side(Side& side) {
  const struct linger at_once = {1, 0};
  if (side.fd >= 0) setsockopt(side.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close_side(side);
}

}  // namespace viaduct
