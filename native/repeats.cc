#include "repeats.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "address_text.h"
#include "relay.h"
#include "urgent.h"

namespace viaduct {

namespace {
constexpr char kHeadEnd[] = "\r\n\r\n";
constexpr size_t kHeadEndBytes = sizeof kHeadEnd - 1;

/** Listener, client and head in one text; 0 when it would be too long. */
class Key {
 public:
  Key(const DecidedClient& client, const char* head, size_t head_bytes) {
    if (head_bytes > kRepeatedHeadBytesMax) return;
    const int before = snprintf(text_, sizeof text_, "%u %s %s ", client.listener, client.address, client.local_address);
    if (before < 0 || static_cast<size_t>(before) + head_bytes > sizeof text_) return;
    memcpy(text_ + before, head, head_bytes);
    size_ = static_cast<size_t>(before) + head_bytes;
  }
  const char* text() const { return text_; }
  size_t size() const { return size_; }

 private:
  char text_[kRepeatedHeadBytesMax + 2 * INET6_ADDRSTRLEN + 16];
  size_t size_ = 0;
};
}  // namespace

double exact_ms() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

Repeats::~Repeats() {
  for (const HandedBack& client : handed_back_) {
    close(client.fd);
    free(client.bytes);
  }
  if (event_ >= 0) close(event_);
}

int Repeats::start() {
  event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return event_ < 0 ? errno : 0;
}

const RepeatingListener* Repeats::find(uint32_t listener) const {
  for (const RepeatingListener& one : listeners_) {
    if (one.number == listener) return &one;
  }
  return nullptr;
}

bool Repeats::serves(uint32_t listener) const { return !decisions_.is_empty() && find(listener) != nullptr; }

bool Repeats::add(const DecidedClient& client, const char* head, size_t head_bytes, const Decision& decision) {
  const Key key(client, head, head_bytes);
  if (!is_usable_ || key.size() == 0) return false;
  if (decisions_.is_empty()) began_ms_ = coarse_ms();
  if (!decisions_.add(key.text(), key.size(), decision)) return false;
  if (find(client.listener) == nullptr) listeners_.push_back({client.listener, *client.local_address != '\0'});
  return true;
}

uint32_t Repeats::renew() {
  decisions_.clear();
  listeners_.clear();
  relay_.report_open_now();
  const uint32_t waiting = unreported_[1 - table_];
  is_usable_ = waiting == 0;
  if (!is_usable_) return waiting;
  table_ = static_cast<uint8_t>(1 - table_);
  return 0;
}

bool Repeats::take(uint32_t listener, int fd, const sockaddr_storage& peer, const char* bytes, size_t size) {
  if (unreported() >= credit_ || coarse_ms() - began_ms_ > kAgeMs) return false;
  const char* end = static_cast<const char*>(memmem(bytes, size, kHeadEnd, kHeadEndBytes));
  const RepeatingListener* known = find(listener);
  if (end == nullptr || known == nullptr) return false;
  char address[INET6_ADDRSTRLEN];
  char local_address[INET6_ADDRSTRLEN] = "";
  write_address(peer, address);
  if (known->has_local_address) {
    sockaddr_storage local = {};
    socklen_t local_bytes = sizeof local;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_bytes) < 0) return false;
    write_address(local, local_address);
  }
  const size_t head_bytes = static_cast<size_t>(end - bytes) + kHeadEndBytes;
  const Key key({listener, address, local_address}, bytes, head_bytes);
  const Decision* decision = key.size() == 0 ? nullptr : decisions_.find(key.text(), key.size());
  if (decision == nullptr) return false;
  Repetition* repetition = new (std::nothrow) Repetition;
  const bool is_kept = repetition != nullptr && repetition->received.add(bytes, size);
  const int upstream = is_kept ? dial(*decision) : -1;
  Tunnel* tunnel = upstream < 0 ? nullptr : new (std::nothrow) Tunnel(kRepeatedSlot, fd, upstream, nullptr);
  if (tunnel == nullptr) {
    delete repetition;
    if (upstream >= 0) close(upstream);
    return false;
  }
  repetition->decision = *decision;
  repetition->table = table_;
  repetition->listener = listener;
  repetition->peer = peer;
  repetition->accepted_ms = exact_ms();
  repetition->head_bytes = head_bytes;
  tunnel->repetition = repetition;
  unreported_[table_] += 1;
  relay_.add(tunnel);
  return true;
}

int Repeats::dial(const Decision& decision) {
  const int fd = ::socket(decision.target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  keep_urgent_inline(fd);
  const auto* target = reinterpret_cast<const sockaddr*>(&decision.target);
  if (connect(fd, target, decision.target_bytes) == 0 || errno == EINPROGRESS) return fd;
  close(fd);
  return -1;
}

void Repeats::hand_back(int client, const Repetition& repetition) {
  const PendingBytes& received = repetition.received;
  char* bytes = static_cast<char*>(malloc(received.size()));
  if (bytes == nullptr) close(client);
  else memcpy(bytes, received.data(), received.size());
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (bytes != nullptr) {
      handed_back_.push_back({client, repetition.listener, repetition.peer, bytes, received.size()});
    }
  }
  unreported_[repetition.table] -= 1;
  const uint64_t one = 1;
  // It is full only if the loop never reads it.
  (void)!write(event_, &one, sizeof one);
}

void Repeats::take_handed_back(Vector<HandedBack>* clients) {
  uint64_t ignored;
  (void)!read(event_, &ignored, sizeof ignored);
  std::lock_guard<std::mutex> lock(mutex_);
  clients->insert(clients->end(), handed_back_.begin(), handed_back_.end());
  handed_back_.clear();
}

}  // namespace viaduct
