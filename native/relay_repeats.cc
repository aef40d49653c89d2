#include <sys/epoll.h>
#include <sys/socket.h>

#include <utility>

#include "address_text.h"
#include "relay.h"

/** The part of the relay that opens tunnels by itself (repeats.h), and says what has become of them. */
namespace viaduct {

namespace {
/** A target that answers later than this is dialled by TypeScript, which knows its other addresses. */
constexpr uint64_t kDialMs = 250;
/** A repeated tunnel that is over by then costs one report. Until then no list of live requests has it. */
constexpr uint64_t kUnreportedMs = 20;
/** Reports wait for so long for others, or for so many. */
constexpr uint64_t kReportMs = 10;
constexpr size_t kReportsWaiting = 64;
}  // namespace

void Relay::report_open_now() {
  is_report_wanted_ = true;
  wake_thread();
}

void Relay::begin_repeats(Repeats* repeats, uint64_t* counters) {
  repeats_ = repeats;
  repeated_counters_ = counters;
}

void Relay::release(const Vector<Event>& read) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (const Event& event : read) {
    const bool is_repeated = (index_of(event.slot) & kRepeatedSlot) != 0;
    if (is_repeated && event.kind == RelayEvent::closed) released_.push_back(event.slot);
  }
}

bool Relay::are_reports_due() const {
  if (pending_reports_.empty()) return false;
  return pending_reports_.size() >= kReportsWaiting || coarse_ms() >= reports_due_ms_;
}

void Relay::dial_now(Tunnel* tunnel) {
  if (free_repeated_.empty() && repeated_.size() < kRepeatedMax) {
    free_repeated_.push_back(static_cast<uint32_t>(repeated_.size()) | kRepeatedSlot);
    repeated_.push_back(nullptr);
  }
  if (free_repeated_.empty()) {
    repeats_->hand_back(tunnel->release_client(), *tunnel->repetition);
    delete tunnel;
    return;
  }
  tunnel->slot = free_repeated_.back();
  free_repeated_.pop_back();
  repeated_in_use_ += 1;
  const uint32_t at = index_of(tunnel->slot) & ~kRepeatedSlot;
  repeated_[at] = tunnel;
  tunnel->count_in(repeated_counters_ + 2 * at);
  repeated_counters_[2 * at] = repeated_counters_[2 * at + 1] = 0;
  if (!watch(tunnel, kUpstream)) return hand_back(tunnel);
  dials_.push_back({coarse_ms() + kDialMs, tunnel->slot});
}

void Relay::on_dialled(Tunnel* tunnel, uint32_t events) {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return hand_back(tunnel);
  if ((events & EPOLLOUT) == 0) return;
  tunnel->on_ready(kUpstream, events);
  if (!open_repeated(tunnel)) return hand_back(tunnel);
  const uint32_t slot = tunnel->slot;
  for (Endpoint source : {kClient, kUpstream}) {
    if (find(slot) == tunnel && tunnel->can_move(source)) schedule(tunnel, source);
  }
}

/** False: nothing was sent to the client. */
bool Relay::open_repeated(Tunnel* tunnel) {
  Repetition& repetition = *tunnel->repetition;
  const PendingBytes& received = repetition.received;
  const size_t head_bytes = repetition.head_bytes;
  if (!tunnel->add_early(kClient, received.data() + head_bytes, received.size() - head_bytes)) return false;
  if (!watch(tunnel, kClient)) return false;
  const Decision& decision = repetition.decision;
  const ssize_t sent = send(tunnel->fd(kClient), decision.response, decision.response_bytes, MSG_NOSIGNAL);
  // A buffer that has never been written to takes a short head whole, or the client is gone.
  if (sent != static_cast<ssize_t>(decision.response_bytes)) {
    epoll_ctl(epoll_, EPOLL_CTL_DEL, tunnel->fd(kClient), nullptr);
    return false;
  }
  repetition.is_open = true;
  repetition.opened_ms = exact_ms();
  // What it was decided by may hold no more.
  const uint64_t due_ms = repeats_->is_current(repetition.table) ? coarse_ms() + kUnreportedMs : 0;
  if (due_ms == 0) openings_.push_front({0, tunnel->slot});
  else openings_.push_back({due_ms, tunnel->slot});
  return true;
}

void Relay::hand_back(Tunnel* tunnel) {
  repeats_->hand_back(tunnel->release_client(), *tunnel->repetition);
  drop_unreported(tunnel);
}

void Relay::hand_back_late_dials() {
  const uint64_t now = coarse_ms();
  while (!dials_.empty() && dials_.front().due_ms <= now) {
    const uint32_t slot = dials_.front().slot;
    dials_.pop_front();
    Tunnel* tunnel = find(slot);
    if (tunnel != nullptr && tunnel->repetition != nullptr && !tunnel->repetition->is_open) hand_back(tunnel);
  }
}

void Relay::report_open_tunnels(uint64_t until_ms) {
  while (!openings_.empty() && openings_.front().due_ms <= until_ms) {
    const uint32_t slot = openings_.front().slot;
    openings_.pop_front();
    Tunnel* tunnel = find(slot);
    if (tunnel == nullptr || tunnel->repetition == nullptr) continue;
    report(*tunnel, TunnelReport::open);
    delete std::exchange(tunnel->repetition, nullptr);
    if (tunnel->is_half_ended()) post(slot, RelayEvent::half_closed, tunnel->first_to_end());
  }
}

void Relay::report(const Tunnel& tunnel, TunnelReport kind) {
  const Repetition& repetition = *tunnel.repetition;
  if (pending_reports_.empty()) reports_due_ms_ = coarse_ms() + kReportMs;
  // It can be limited and ended from then on.
  if (kind == TunnelReport::open) reports_due_ms_ = 0;
  char ignored[INET6_ADDRSTRLEN];
  pending_reports_.push_back({
      kind,
      repetition.table,
      write_address(repetition.peer, ignored),
      repetition.decision.id,
      tunnel.slot,
      tunnel.end(),
      repetition.accepted_ms,
      repetition.opened_ms,
      exact_ms(),
      tunnel.moved(kClient),
      tunnel.moved(kUpstream),
  });
}

void Relay::drop_unreported(Tunnel* tunnel) {
  const uint32_t slot = tunnel->slot;
  drop(tunnel);
  free_repeated(slot);
}

void Relay::free_repeated(uint32_t slot) {
  const uint32_t generation = (slot >> kSlotIndexBits) + 1;
  free_repeated_.push_back(index_of(slot) | (generation % kSlotGenerations) << kSlotIndexBits);
  repeated_in_use_ -= 1;
}

}  // namespace viaduct
