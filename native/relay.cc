#include "relay.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace viaduct {

namespace {
/**
 * Bytes of one slice. Large slices wake sleeping peers less often, which is most of what bulk data costs. While a tunnel
 * moves interactive traffic, slices are small: a large one delays it by a millisecond.
 */
constexpr size_t kSliceBytes = Pipes::kBytes;
constexpr size_t kSmallSliceBytes = 131'072;
/** After the last small message: longer than the pauses of a person who types. */
constexpr uint64_t kInteractiveMs = 1'000;
constexpr int kReadyMax = 128;
/** Most tunnels of which one side has ended are over within this, and need no event for the first end. */
constexpr uint64_t kHalfCloseMs = 20;
/** Bulk data that pauses for so long gives back what it was granted: others may wait for it. */
constexpr uint64_t kSpareMs = 50;
constexpr uint64_t kWakeKey = ~uint64_t{0};
}  // namespace

Relay::Relay(void (*wake)(void*), void* context) : wake_(wake), wake_context_(context) {
  queue_ = {nullptr, kClient, &queue_, &queue_};
}

Relay::~Relay() {
  if (is_started_) {
    is_stopping_ = true;
    wake_thread();
    pthread_join(thread_, nullptr);
  }
  for (const QueuedCommand& queued : commands_) delete queued.added;
  for (const Vector<Tunnel*>* tunnels : {&tunnels_, &repeated_}) {
    for (Tunnel* tunnel : *tunnels) {
      if (tunnel == nullptr) continue;
      // The process has failed, or ends without having drained: neither side may take its data for complete.
      tunnel->abort(context_);
      delete tunnel;
    }
  }
  if (epoll_ >= 0) close(epoll_);
  if (event_ >= 0) close(event_);
  free(context_.buffer);
}

int Relay::start() {
  context_.buffer = static_cast<char*>(malloc(RelayContext::kReadBytes));
  if (context_.buffer == nullptr) return ENOMEM;
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct epoll_event wake = {EPOLLIN, {}};
  wake.data.u64 = kWakeKey;
  if (epoll_ < 0 || event_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &wake) < 0) return errno;
  // Signals are for the threads of the program, and splice has no flag against SIGPIPE.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int failed = pthread_create(&thread_, nullptr, main, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  is_started_ = failed == 0;
  if (is_started_) pthread_setname_np(thread_, "relay");
  return failed;
}

void Relay::add(Tunnel* tunnel) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    commands_.push_back({tunnel, tunnel->slot, RelayCommand::close, 0});
  }
  wake_thread();
}

void Relay::send_command(uint32_t slot, RelayCommand command, uint32_t bytes) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    commands_.push_back({nullptr, slot, command, bytes});
  }
  wake_thread();
}

Relay::News Relay::take_news() {
  std::lock_guard<std::mutex> lock(mutex_);
  return {std::exchange(reports_, {}), std::exchange(events_, {})};
}

void Relay::wake_thread() {
  if (is_woken_.exchange(true)) return;
  const uint64_t one = 1;
  // It is full only if the thread never reads it.
  (void)!write(event_, &one, sizeof one);
}

void* Relay::main(void* relay) {
  static_cast<Relay*>(relay)->run();
  return nullptr;
}

void Relay::run() {
  struct epoll_event events[kReadyMax];
  while (!is_stopping_) {
    const int count = epoll_wait(epoll_, events, kReadyMax, wait_ms());
    // Commands first, so that not a byte moves that came after one.
    for (int at = 0; at < count; at++) {
      if (events[at].data.u64 == kWakeKey) run_commands();
    }
    for (int at = 0; at < count; at++) {
      if (events[at].data.u64 != kWakeKey) on_ready(events[at].data.u64, events[at].events);
    }
    // One slice, and then interactive traffic is looked for again.
    run_next();
    if (!half_closes_.empty()) post_half_closes();
    if (!spares_.empty()) return_spares();
    if (!dials_.empty()) hand_back_late_dials();
    if (!openings_.empty()) report_open_tunnels(is_report_wanted_.exchange(false) ? UINT64_MAX : coarse_ms());
    if (!pending_events_.empty() || are_reports_due()) hand_over_events();
  }
}

void Relay::hand_over_events() {
  bool is_first;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    is_first = events_.empty() && reports_.empty();
    events_.insert(events_.end(), pending_events_.begin(), pending_events_.end());
    reports_.insert(reports_.end(), pending_reports_.begin(), pending_reports_.end());
  }
  pending_events_.clear();
  pending_reports_.clear();
  if (is_first) wake_(wake_context_);
}

void Relay::run_commands() {
  uint64_t ignored;
  (void)!read(event_, &ignored, sizeof ignored);
  is_woken_ = false;
  Vector<QueuedCommand> commands;
  Vector<uint32_t> released;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    commands.swap(commands_);
    released.swap(released_);
  }
  for (const uint32_t slot : released) free_repeated(slot);
  for (const QueuedCommand& queued : commands) {
    if (queued.added != nullptr) add_now(queued.added);
    else apply(queued);
  }
}

Tunnel** Relay::place_of(uint32_t slot) {
  const uint32_t index = index_of(slot);
  Vector<Tunnel*>& tunnels = (index & kRepeatedSlot) == 0 ? tunnels_ : repeated_;
  const uint32_t at = index & ~kRepeatedSlot;
  return at < tunnels.size() ? &tunnels[at] : nullptr;
}

Tunnel* Relay::find(uint32_t slot) {
  Tunnel** place = place_of(slot);
  return place != nullptr && *place != nullptr && (*place)->slot == slot ? *place : nullptr;
}

bool Relay::watch(Tunnel* tunnel, Endpoint source) {
  struct epoll_event event = {EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET, {}};
  event.data.u64 = uint64_t{tunnel->slot} << 1 | static_cast<uint64_t>(source);
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, tunnel->fd(source), &event) == 0;
}

void Relay::add_now(Tunnel* tunnel) {
  if (tunnel->repetition != nullptr) return dial_now(tunnel);
  const uint32_t slot = tunnel->slot;
  const uint32_t index = index_of(slot);
  if (index >= tunnels_.size()) tunnels_.resize(std::max<size_t>(index + 1, tunnels_.size() * 2), nullptr);
  if (tunnels_[index] != nullptr) {
    tunnel->abort(context_);
    delete tunnel;
    return post_closed(slot, TunnelEnd::error);
  }
  tunnels_[index] = tunnel;
  for (Endpoint source : {kClient, kUpstream}) {
    if (watch(tunnel, source)) continue;
    // The kernel is out of memory or of watches: nothing would report when to go on.
    tunnel->abort(context_);
    post_closed(slot, TunnelEnd::error);
    return drop(tunnel);
  }
  for (Endpoint source : {kClient, kUpstream}) {
    if (find(slot) == tunnel && tunnel->can_move(source)) schedule(tunnel, source);
  }
}

void Relay::apply(const QueuedCommand& queued) {
  const uint32_t slot = queued.slot;
  Tunnel* tunnel = find(slot);
  if (tunnel == nullptr) return;
  switch (queued.command) {
    case RelayCommand::limit_up:
      return tunnel->limit(kClient);
    case RelayCommand::limit_down:
      return tunnel->limit(kUpstream);
    case RelayCommand::unlimit_up:
      tunnel->unlimit(kClient);
      return resume(tunnel, kClient);
    case RelayCommand::unlimit_down:
      tunnel->unlimit(kUpstream);
      return resume(tunnel, kUpstream);
    case RelayCommand::grant_up:
      tunnel->grant(kClient, queued.bytes);
      return resume(tunnel, kClient);
    case RelayCommand::grant_down:
      tunnel->grant(kUpstream, queued.bytes);
      return resume(tunnel, kUpstream);
    case RelayCommand::check_peers:
      return tunnel->check_peers();
    case RelayCommand::close:
      tunnel->close_both(context_);
      break;
    case RelayCommand::abort:
      tunnel->abort(context_);
      break;
    default:
      return;
  }
  end(tunnel);
}

void Relay::resume(Tunnel* tunnel, Endpoint source) {
  if (tunnel->can_move(source)) schedule(tunnel, source);
}

void Relay::on_ready(uint64_t key, uint32_t events) {
  const uint32_t slot = static_cast<uint32_t>(key >> 1);
  Tunnel* tunnel = find(slot);
  // It ended while this event was under way.
  if (tunnel == nullptr) return;
  if (tunnel->repetition != nullptr && !tunnel->repetition->is_open) return on_dialled(tunnel, events);
  const Endpoint source = static_cast<Endpoint>(key & 1);
  tunnel->on_ready(source, events);
  if (tunnel->can_move(source)) schedule(tunnel, source);
  if (find(slot) == tunnel && tunnel->can_move(other(source))) schedule(tunnel, other(source));
}

void Relay::schedule(Tunnel* tunnel, Endpoint source) {
  if (tunnel->is_bulk(source)) push(&tunnel->links[source]);
  else move(tunnel, source);
}

bool Relay::move(Tunnel* tunnel, Endpoint source) {
  const bool was_half_ended = tunnel->is_half_ended();
  const Tunnel::Step step = tunnel->move(source, context_);
  if (step == Tunnel::Step::over) {
    end(tunnel);
    return false;
  }
  if (step == Tunnel::Step::again) push(&tunnel->links[source]);
  if (tunnel->spare(source) > 0) watch_spare(tunnel, source);
  if (const size_t wanted = tunnel->take_wanted(source)) {
    post(tunnel->slot, source == kClient ? RelayEvent::wants_up : RelayEvent::wants_down, static_cast<int32_t>(wanted));
  }
  if (!was_half_ended && tunnel->is_half_ended()) half_closes_.push_back({coarse_ms() + kHalfCloseMs, tunnel->slot});
  return true;
}

void Relay::run_next() {
  if (queued_ == 0) return;
  const bool is_interactive = coarse_ms() - context_.interactive_ms < kInteractiveMs;
  context_.slice_bytes = is_interactive ? kSmallSliceBytes : kSliceBytes;
  Tunnel::Link* link = queue_.next;
  remove(link);
  move(link->tunnel, link->source);
}

void Relay::post(uint32_t slot, RelayEvent kind, int32_t detail) { pending_events_.push_back({slot, kind, detail}); }

void Relay::post_half_closes() {
  const uint64_t now = coarse_ms();
  while (!half_closes_.empty() && half_closes_.front().due_ms <= now) {
    const uint32_t slot = half_closes_.front().slot;
    half_closes_.pop_front();
    const Tunnel* tunnel = find(slot);
    // Of one that was not reported, that comes with its report.
    const bool is_known = tunnel != nullptr && tunnel->repetition == nullptr;
    if (is_known) post(slot, RelayEvent::half_closed, tunnel->first_to_end());
  }
}

void Relay::watch_spare(Tunnel* tunnel, Endpoint source) {
  if (tunnel->is_spare_watched[source]) return;
  tunnel->is_spare_watched[source] = true;
  spares_.push_back({coarse_ms() + kSpareMs, tunnel->slot, source, tunnel->moved(source)});
}

void Relay::return_spares() {
  const uint64_t now = coarse_ms();
  while (!spares_.empty() && spares_.front().due_ms <= now) {
    const Spare watched = spares_.front();
    spares_.pop_front();
    Tunnel* tunnel = find(watched.slot);
    if (tunnel == nullptr) continue;
    const Endpoint source = watched.source;
    tunnel->is_spare_watched[source] = false;
    if (tunnel->spare(source) == 0) continue;
    if (tunnel->moved(source) != watched.moved) {
      watch_spare(tunnel, source);
      continue;
    }
    const RelayEvent kind = source == kClient ? RelayEvent::returns_up : RelayEvent::returns_down;
    post(watched.slot, kind, static_cast<int32_t>(tunnel->take_spare(source)));
  }
}

void Relay::end(Tunnel* tunnel) {
  if (tunnel->repetition == nullptr) {
    post_closed(tunnel->slot, tunnel->end());
    return drop(tunnel);
  }
  report(*tunnel, TunnelReport::over);
  drop_unreported(tunnel);
}

void Relay::drop(Tunnel* tunnel) {
  for (Tunnel::Link& link : tunnel->links) remove(&link);
  *place_of(tunnel->slot) = nullptr;
  delete tunnel;
}

int Relay::wait_ms() {
  if (queued_ > 0) return 0;
  uint64_t due = UINT64_MAX;
  for (const Deque<Due>* list : {&half_closes_, &dials_, &openings_}) {
    if (!list->empty()) due = std::min(due, list->front().due_ms);
  }
  if (!spares_.empty()) due = std::min(due, spares_.front().due_ms);
  if (!pending_reports_.empty()) due = std::min(due, reports_due_ms_);
  if (due == UINT64_MAX) return -1;
  const uint64_t now = coarse_ms();
  return due <= now ? 0 : static_cast<int>(due - now);
}

void Relay::push(Tunnel::Link* link) {
  if (link->next != nullptr) return;
  link->next = &queue_;
  link->previous = queue_.previous;
  queue_.previous->next = link;
  queue_.previous = link;
  queued_++;
}

void Relay::remove(Tunnel::Link* link) {
  if (link->next == nullptr) return;
  link->previous->next = link->next;
  link->next->previous = link->previous;
  link->next = link->previous = nullptr;
  queued_--;
}

}  // namespace viaduct
