/**
 * Tunnels in many conditions at once, for sanitizers to watch: bulk data with readers that stall, resets, ends and commands
 * at any moment, limits that come and go with grants of any size, slots in use and of earlier tunnels, and a relay that is destroyed with tunnels open. Exit code 0 and `ok`
 * when every tunnel came to an end and what arrived whole was what was sent.
 *
 *   relay-harness TUNNELS SEED
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "../../native/relay.h"
#include "../../native/urgent.h"
#include "harness.h"

using namespace viaduct;

namespace {

/** A connected pair over loopback. */
void connect_pair(int ends[2]) {
  struct sockaddr_in address = {};
  socklen_t size = sizeof address;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) < 0 || listen(listener, 1) < 0) fail("listen");
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  ends[0] = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(ends[0], reinterpret_cast<sockaddr*>(&address), size) < 0) fail("connect");
  ends[1] = accept(listener, nullptr, nullptr);
  close(listener);
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  keep_urgent_inline(ends[1]);
}

void reset(int fd) {
  const struct linger at_once = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
}

std::mutex mutex;
std::condition_variable changed;
std::map<uint32_t, Event> ended;
/** Bytes that were granted to each slot and not returned, up and down. */
std::map<uint32_t, uint64_t[2]> granted;
Relay* relay = nullptr;

/** Grants a part of what is asked for, and now and then the next grant with it. */
void answer(const Event& event) {
  static Random random{7};
  const bool is_up = event.kind == RelayEvent::wants_up;
  const RelayCommand command = is_up ? RelayCommand::grant_up : RelayCommand::grant_down;
  const uint32_t bytes = 1 + random.below(static_cast<uint32_t>(event.detail));
  const uint32_t more = random.below(4) == 0 ? 1 + random.below(100'000) : 0;
  granted[event.slot][is_up ? 0 : 1] += bytes + more;
  relay->send_command(event.slot, command, more == 0 ? bytes : bytes + kGrantMore);
  if (more > 0) relay->send_command(event.slot, command, more);
}

void wake(void*) {
  for (const Event& event : relay->take_news().events) {
    std::lock_guard<std::mutex> lock(mutex);
    switch (event.kind) {
      case RelayEvent::half_closed:
        break;
      case RelayEvent::wants_up:
      case RelayEvent::wants_down:
        answer(event);
        break;
      case RelayEvent::returns_up:
        granted[event.slot][0] -= static_cast<uint64_t>(event.detail);
        break;
      case RelayEvent::returns_down:
        granted[event.slot][1] -= static_cast<uint64_t>(event.detail);
        break;
      default:
        ended[event.slot] = event;
    }
  }
  changed.notify_all();
}

Event wait_for(uint32_t slot) {
  std::unique_lock<std::mutex> lock(mutex);
  if (!changed.wait_for(lock, std::chrono::seconds(60), [&] { return ended.count(slot) > 0; })) fail("a tunnel hangs");
  const Event event = ended[slot];
  ended.erase(slot);
  return event;
}

char pattern(size_t at) { return static_cast<char>(at * 31 + (at >> 9)); }

/** One end: sends so many bytes, some of them urgent, and ends, reads to the end, and checks what it got. */
void talk(int fd, size_t bytes, uint32_t seed, bool* is_whole) {
  Random random{seed};
  std::vector<char> buffer(65'536);
  size_t sent = 0;
  size_t got = 0;
  bool has_ended = false;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  for (;;) {
    struct pollfd ready = {fd, static_cast<short>(POLLIN | (has_ended ? 0 : POLLOUT)), 0};
    if (poll(&ready, 1, 30'000) <= 0) fail("an end gets no event");
    if (random.below(50) == 0) usleep(random.below(2'000));
    if (!has_ended && (ready.revents & POLLOUT)) {
      const size_t size = std::min<size_t>(bytes - sent, 1 + random.below(65'536));
      for (size_t at = 0; at < size; at++) buffer[at] = pattern(sent + at);
      // The last of them is urgent then.
      const int urgent = random.below(8) == 0 ? MSG_OOB : 0;
      const ssize_t put = size == 0 ? 0 : send(fd, buffer.data(), size, MSG_NOSIGNAL | urgent);
      if (put < 0 && errno != EAGAIN) return;
      if (put > 0) sent += static_cast<size_t>(put);
      if (sent == bytes) {
        shutdown(fd, SHUT_WR);
        has_ended = true;
      }
    }
    if ((ready.revents & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
    const ssize_t read = recv(fd, buffer.data(), buffer.size(), 0);
    if (read < 0 && errno == EAGAIN) continue;
    if (read < 0) return;
    for (ssize_t at = 0; at < read; at++) {
      if (buffer[static_cast<size_t>(at)] != pattern(got + static_cast<size_t>(at))) fail("bytes in another order");
    }
    got += static_cast<size_t>(read);
    if (read == 0 && has_ended) break;
    if (read == 0) {
      // Only writing is left.
      while (sent < bytes) {
        const size_t size = std::min<size_t>(bytes - sent, buffer.size());
        for (size_t at = 0; at < size; at++) buffer[at] = pattern(sent + at);
        const ssize_t put = send(fd, buffer.data(), size, MSG_NOSIGNAL);
        if (put < 0 && errno != EAGAIN) return;
        if (put > 0) sent += static_cast<size_t>(put);
        else usleep(500);
      }
      shutdown(fd, SHUT_WR);
      break;
    }
  }
  *is_whole = got == bytes;
}

void run(uint32_t slot, uint32_t seed, uint64_t* counters) {
  Random random{seed};
  int near[2];
  int far[2];
  connect_pair(near);
  connect_pair(far);
  const size_t bytes = 1 + random.below(4'000'000);
  auto* tunnel = new Tunnel(slot, near[1], far[1], counters);
  {
    std::lock_guard<std::mutex> lock(mutex);
    granted[slot][0] = granted[slot][1] = 0;
  }
  const bool is_limited[2] = {random.below(2) == 0, random.below(2) == 0};
  if (is_limited[0]) tunnel->limit(kClient);
  if (is_limited[1]) tunnel->limit(kUpstream);
  // Half of them begin with bytes that were read before.
  size_t early = random.below(2) == 0 ? 0 : std::min<size_t>(bytes, 1 + random.below(5'000));
  std::vector<char> first(early);
  for (size_t at = 0; at < early; at++) first[at] = pattern(at);
  if (!tunnel->add_early(kClient, first.data(), early)) fail("no memory");
  relay->add(tunnel);

  const uint32_t fate = random.below(6);
  bool is_whole[2] = {false, false};
  if (early > 0 || fate > 1) {
    // Whichever side goes: the bytes are not checked, only that the tunnel ends.
    std::vector<char> junk(1 + random.below(300'000), 'x');
    std::thread noise([&] {
      fcntl(near[0], F_SETFL, O_NONBLOCK);
      (void)!send(near[0], junk.data(), junk.size(), MSG_NOSIGNAL);
    });
    usleep(random.below(5'000));
    noise.join();
    if (fate == 2) relay->send_command(slot, RelayCommand::abort);
    if (fate == 3) relay->send_command(slot, RelayCommand::close);
    if (fate == 4) {
      relay->send_command(slot, RelayCommand::unlimit_up);
      relay->send_command(slot, RelayCommand::limit_down);
      relay->send_command(slot, RelayCommand::grant_down, 1 + random.below(100'000));
      usleep(random.below(2'000));
      relay->send_command(slot, RelayCommand::abort);
    }
    // One that waits for a grant is read no more: both ends go, or nothing would be noticed before the grant.
    if (fate <= 1 || fate == 5) {
      reset(near[0]);
      reset(far[0]);
    }
    wait_for(slot);
    if (fate > 1 && fate != 5) {
      close(near[0]);
      close(far[0]);
    }
    return;
  }
  std::thread one(talk, near[0], bytes, seed + 1, &is_whole[0]);
  std::thread two(talk, far[0], bytes, seed + 2, &is_whole[1]);
  one.join();
  two.join();
  const Event event = wait_for(slot);
  close(near[0]);
  close(far[0]);
  if (!is_whole[0] || !is_whole[1]) fail("something is missing");
  if (event.kind != RelayEvent::closed || event.detail > static_cast<int32_t>(TunnelEnd::upstream)) fail("another end");
  if (counters[0] != bytes || counters[1] != bytes) fail("counted wrongly");
  std::lock_guard<std::mutex> lock(mutex);
  for (int way : {0, 1}) {
    if (is_limited[way] && granted[slot][way] < bytes) fail("more has passed than was granted");
  }
}

void expect_reset(int fd, const char* what) {
  struct pollfd ready = {fd, POLLIN, 0};
  char byte;
  if (poll(&ready, 1, 10'000) != 1 || recv(fd, &byte, 1, 0) >= 0 || errno != ECONNRESET) fail(what);
  close(fd);
}

/** A tunnel closed before what has arrived is read: a FIN would say that this was all. */
void close_before_a_read() {
  int near[2];
  int far[2];
  connect_pair(near);
  connect_pair(far);
  uint64_t counters[2];
  RelayContext context;
  Tunnel tunnel(0, near[1], far[1], counters);
  if (write(near[0], "x", 1) != 1) fail("write");
  struct pollfd arrived = {near[1], POLLIN, 0};
  poll(&arrived, 1, 10'000);
  tunnel.close_both(context);
  expect_reset(far[0], "what was not read is no reset");
  close(near[0]);
}

/** A number of another generation, or out of range, means no tunnel; one whose slot is in use gets an error. */
void stale_slots(uint32_t slot, uint64_t* counters) {
  int near[2];
  int far[2];
  connect_pair(near);
  connect_pair(far);
  relay->add(new Tunnel(slot, near[1], far[1], counters));
  const uint32_t next = slot + (1u << kSlotIndexBits);
  for (const uint32_t stale : {next, slot + 1, slot | 0x80000000u, UINT32_MAX}) {
    for (const RelayCommand command : {RelayCommand::close, RelayCommand::abort, RelayCommand::limit_up, RelayCommand::grant_up}) {
      relay->send_command(stale, command);
    }
  }
  relay->send_command(slot, static_cast<RelayCommand>(99));
  int late[2];
  connect_pair(late);
  relay->add(new Tunnel(next, late[1], dup(late[1]), counters));
  const Event event = wait_for(next);
  if (event.kind != RelayEvent::closed || event.detail != static_cast<int32_t>(TunnelEnd::error)) fail("two in one slot");
  expect_reset(late[0], "a tunnel without a slot is no reset");
  char byte = 'x';
  if (write(near[0], &byte, 1) != 1 || recv(far[0], &byte, 1, 0) != 1) fail("a stale number has ended a tunnel");
  relay->send_command(slot, RelayCommand::abort);
  if (wait_for(slot).kind != RelayEvent::closed) fail("abort");
  expect_reset(near[0], "abort is no reset");
  expect_reset(far[0], "abort is no reset");
}

/** Pipes leave the last descriptors to what cannot go on without one, and come back when there are enough. */
void pipes_leave_some() {
  struct rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  const int next = open("/dev/null", O_RDONLY);
  close(next);
  const struct rlimit few = {static_cast<rlim_t>(next) + Pipes::kFilesLeft + 4, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  Pipes pipes;
  std::vector<Pipe*> taken;
  while (Pipe* pipe = pipes.take()) taken.push_back(pipe);
  if (taken.size() != 2) fail("not as many pipes as there is space for");
  for (size_t left = 0; left < Pipes::kFilesLeft; left++) {
    if (open("/dev/null", O_RDONLY) < 0) fail("pipes have taken the last descriptors");
  }
  setrlimit(RLIMIT_NOFILE, &before);
  Pipe* more = pipes.take();
  if (more == nullptr) fail("no pipe though there are descriptors");
  taken.push_back(more);
  for (Pipe* pipe : taken) pipes.give_back(pipe);
}

}  // namespace

int main(int, char** args) {
  const uint32_t tunnels = static_cast<uint32_t>(atoi(args[1]));
  const uint32_t seed = static_cast<uint32_t>(atoi(args[2]));
  constexpr uint32_t at_once = 16;
  std::vector<uint64_t> counters(2 * at_once + 2);
  relay = new Relay(wake, nullptr);
  if (relay->start() != 0) fail("start");
  std::vector<std::thread> threads;
  for (uint32_t slot = 0; slot < at_once; slot++) {
    threads.emplace_back([&, slot] {
      for (uint32_t begun = slot; begun < tunnels; begun += at_once) run(slot, seed * 1'000 + begun, &counters[2 * slot]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  stale_slots(at_once, &counters[2 * at_once]);
  // One is open when the relay goes.
  int near[2];
  int far[2];
  connect_pair(near);
  connect_pair(far);
  relay->add(new Tunnel(at_once, near[1], far[1], &counters[2 * at_once]));
  (void)!write(near[0], "x", 1);
  char byte;
  if (recv(far[0], &byte, 1, 0) != 1) fail("nothing passes");
  delete relay;
  expect_reset(near[0], "the client takes the end of the relay for its own");
  expect_reset(far[0], "the upstream takes the end of the relay for the client's");
  close_before_a_read();
  pipes_leave_some();
  puts("ok");
  return 0;
}
