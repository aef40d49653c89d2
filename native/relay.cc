#include "relay.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace viaduct {

namespace {
/**
 * Bytes of one turn. Large ones wake sleeping peers less often, which is most of what bulk data costs. While somebody
 * sends a little now and then, as people do who type, turns are small: a large one is a millisecond for them.
 */
constexpr size_t kTurnBytes = Pipes::kBytes;
constexpr size_t kSmallTurnBytes = 131'072;
/** After the last small message; longer than the pauses of somebody who types. */
constexpr uint64_t kSmallTalkMs = 1'000;
constexpr int kEventsMax = 128;
/** Most tunnels whose one side has ended are over within this, and nobody has to be told of the first half. */
constexpr uint64_t kHalfMs = 20;
constexpr uint64_t kWakeKey = ~uint64_t{0};
}  // namespace

Relay::Relay(void (*wake)(void*), void* context) : wake_(wake), context_(context) {
  tools_.buffer = new char[Tools::kReadBytes];
  queue_ = {nullptr, kClient, &queue_, &queue_};
}

Relay::~Relay() {
  if (is_started_) {
    is_stopping_ = true;
    wake_thread();
    pthread_join(thread_, nullptr);
  }
  for (const Command& command : commands_) delete command.added;
  for (Tunnel* tunnel : tunnels_) {
    if (tunnel == nullptr) continue;
    tunnel->cut(tools_);
    delete tunnel;
  }
  for (auto& [slot, released] : released_) {
    close(released.client);
    close(released.upstream);
    delete released.tunnel;
  }
  if (epoll_ >= 0) close(epoll_);
  if (event_ >= 0) close(event_);
  delete[] tools_.buffer;
}

int Relay::start() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct epoll_event wake = {EPOLLIN, {}};
  wake.data.u64 = kWakeKey;
  if (epoll_ < 0 || event_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &wake) < 0) return errno;
  // Signals are for the threads of the program; and splice has no way to say that it wants no SIGPIPE.
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
    commands_.push_back({tunnel, tunnel->slot, Order::cut});
  }
  wake_thread();
}

void Relay::give(uint32_t slot, Order order) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    commands_.push_back({nullptr, slot, order});
  }
  wake_thread();
}

std::vector<Told> Relay::take_news() {
  std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(news_, {});
}

Relay::Released Relay::collect(uint32_t slot) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = released_.find(slot);
  if (found == released_.end()) return {nullptr, -1, -1};
  const Released released = found->second;
  released_.erase(found);
  return released;
}

void Relay::wake_thread() {
  if (is_woken_.exchange(true)) return;
  const uint64_t one = 1;
  // Full only if nobody ever reads it.
  (void)!write(event_, &one, sizeof one);
}

void* Relay::main(void* relay) {
  static_cast<Relay*>(relay)->run();
  return nullptr;
}

void Relay::run() {
  struct epoll_event events[kEventsMax];
  while (!is_stopping_) {
    const int count = epoll_wait(epoll_, events, kEventsMax, wait_ms());
    // First, so that not a byte moves that came after an order. A slot may get another tunnel by it while older events
    // are in hand: they only say what to try, and trying in vain changes nothing.
    for (int at = 0; at < count; at++) {
      if (events[at].data.u64 == kWakeKey) run_commands();
    }
    for (int at = 0; at < count; at++) {
      if (events[at].data.u64 != kWakeKey) noted(events[at].data.u64, events[at].events);
    }
    // One turn, and then whoever has something small to say comes first again.
    run_next();
    if (!halves_.empty()) tell_halves();
    if (!untold_.empty()) {
      bool are_first;
      {
        std::lock_guard<std::mutex> lock(mutex_);
        are_first = news_.empty();
        news_.insert(news_.end(), untold_.begin(), untold_.end());
      }
      untold_.clear();
      if (are_first) wake_(context_);
    }
  }
}

void Relay::run_commands() {
  uint64_t ignored;
  (void)!read(event_, &ignored, sizeof ignored);
  is_woken_ = false;
  std::vector<Command> commands;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    commands.swap(commands_);
  }
  for (const Command& command : commands) {
    if (command.added != nullptr) begin(command.added);
    else obey(command.slot, command.order);
  }
}

void Relay::begin(Tunnel* tunnel) {
  const uint32_t slot = tunnel->slot;
  if (slot >= tunnels_.size()) tunnels_.resize(std::max<size_t>(slot + 1, tunnels_.size() * 2), nullptr);
  tunnels_[slot] = tunnel;
  tunnel->serial = ++serials_;
  for (Who who : {kClient, kUpstream}) {
    struct epoll_event event = {EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET, {}};
    event.data.u64 = uint64_t{slot} << 1 | static_cast<uint64_t>(who);
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, tunnel->fd(who), &event) == 0) continue;
    // Out of memory or of watches: nobody could tell when to go on.
    tunnel->abort(tools_);
    tell(slot, News::over, static_cast<int32_t>(End::error));
    return finish(tunnel);
  }
  for (Who who : {kClient, kUpstream}) {
    if (tunnels_[slot] == tunnel && tunnel->can_move(who)) attend(tunnel, who);
  }
}

void Relay::obey(uint32_t slot, Order order) {
  Tunnel* tunnel = slot < tunnels_.size() ? tunnels_[slot] : nullptr;
  if (tunnel == nullptr) return;
  if (order == Order::release) return hand_back(tunnel);
  if (order == Order::probe) return tunnel->keep_alive();
  if (order == Order::cut) tunnel->cut(tools_);
  else tunnel->abort(tools_);
  tell(slot, News::over, static_cast<int32_t>(tunnel->end()));
  finish(tunnel);
}

void Relay::hand_back(Tunnel* tunnel) {
  const uint32_t slot = tunnel->slot;
  const Released released = {tunnel, tunnel->fd(kClient), tunnel->fd(kUpstream)};
  if (!tunnel->release(tools_)) {
    tell(slot, News::over, static_cast<int32_t>(End::error));
    return finish(tunnel);
  }
  // They stay open, so closing will not take them off the list.
  epoll_ctl(epoll_, EPOLL_CTL_DEL, released.client, nullptr);
  epoll_ctl(epoll_, EPOLL_CTL_DEL, released.upstream, nullptr);
  for (Tunnel::Link& link : tunnel->links) remove(&link);
  tunnels_[slot] = nullptr;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    released_.emplace(slot, released);
  }
  tell(slot, News::released, 0);
}

void Relay::noted(uint64_t key, uint32_t events) {
  const uint64_t slot = key >> 1;
  Tunnel* tunnel = slot < tunnels_.size() ? tunnels_[slot] : nullptr;
  // It ended while this event was under way.
  if (tunnel == nullptr) return;
  const Who who = static_cast<Who>(key & 1);
  tunnel->noted(who, events);
  if (tunnel->can_move(who)) attend(tunnel, who);
  if (tunnels_[slot] == tunnel && tunnel->can_move(other(who))) attend(tunnel, other(who));
}

void Relay::attend(Tunnel* tunnel, Who who) {
  if (tunnel->is_bulk(who)) push(&tunnel->links[who]);
  else move(tunnel, who);
}

bool Relay::move(Tunnel* tunnel, Who who) {
  const bool was_half = tunnel->is_half_ended();
  const Tunnel::Step step = tunnel->move(who, tools_);
  if (step == Tunnel::Step::over) {
    tell(tunnel->slot, News::over, static_cast<int32_t>(tunnel->end()));
    finish(tunnel);
    return false;
  }
  if (step == Tunnel::Step::again) push(&tunnel->links[who]);
  if (!was_half && tunnel->is_half_ended()) halves_.push_back({coarse_ms() + kHalfMs, tunnel->slot, tunnel->serial});
  return true;
}

void Relay::run_next() {
  if (queued_ == 0) return;
  const bool is_small = coarse_ms() - tools_.small_talk_ms < kSmallTalkMs;
  tools_.turn_bytes = is_small ? kSmallTurnBytes : kTurnBytes;
  Tunnel::Link* link = queue_.next;
  remove(link);
  move(link->tunnel, link->who);
}

void Relay::tell(uint32_t slot, News news, int32_t detail) { untold_.push_back({slot, news, detail}); }

void Relay::tell_halves() {
  const uint64_t now = coarse_ms();
  while (!halves_.empty() && halves_.front().due_ms <= now) {
    const Half half = halves_.front();
    halves_.pop_front();
    const Tunnel* tunnel = tunnels_[half.slot];
    if (tunnel != nullptr && tunnel->serial == half.serial) tell(half.slot, News::half, tunnel->first_to_end());
  }
}

void Relay::finish(Tunnel* tunnel) {
  for (Tunnel::Link& link : tunnel->links) remove(&link);
  tunnels_[tunnel->slot] = nullptr;
  delete tunnel;
}

int Relay::wait_ms() {
  if (queued_ > 0) return 0;
  if (halves_.empty()) return -1;
  const uint64_t now = coarse_ms();
  const uint64_t due = halves_.front().due_ms;
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
