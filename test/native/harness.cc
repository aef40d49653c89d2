/**
 * Tunnels in many conditions at once, for sanitizers to watch: bulk with readers who stall, resets and ends at any
 * moment, orders at any moment, and a relay that is destroyed with tunnels open. Exit code 0 and `ok` when every tunnel
 * came to an end and what arrived whole was what was sent.
 *
 *   harness TUNNELS SEED
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
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

using namespace viaduct;

namespace {

void fail(const char* what) {
  fprintf(stderr, "failed: %s (errno %d)\n", what, errno);
  _exit(1);
}

struct Random {
  uint32_t state;
  uint32_t below(uint32_t bound) {
    state = state * 1'664'525 + 1'013'904'223;
    return static_cast<uint32_t>((static_cast<uint64_t>(state) * bound) >> 32);
  }
};

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
}

void reset(int fd) {
  const struct linger at_once = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
}

std::mutex mutex;
std::condition_variable changed;
std::map<uint32_t, Told> ended;
Relay* relay = nullptr;

void wake(void*) {
  for (const Told& told : relay->take_news()) {
    if (told.news == News::half) continue;
    std::lock_guard<std::mutex> lock(mutex);
    ended[told.slot] = told;
  }
  changed.notify_all();
}

Told wait_for(uint32_t slot) {
  std::unique_lock<std::mutex> lock(mutex);
  if (!changed.wait_for(lock, std::chrono::seconds(60), [&] { return ended.count(slot) > 0; })) fail("a tunnel hangs");
  const Told told = ended[slot];
  ended.erase(slot);
  return told;
}

char pattern(size_t at) { return static_cast<char>(at * 31 + (at >> 9)); }

/** One end: sends so many bytes and ends, reads to the end, and checks what it got. */
void talk(int fd, size_t bytes, uint32_t seed, bool* is_whole) {
  Random random{seed};
  std::vector<char> buffer(65'536);
  size_t sent = 0;
  size_t got = 0;
  bool has_ended = false;
  fcntl(fd, F_SETFL, O_NONBLOCK);
  for (;;) {
    struct pollfd ready = {fd, static_cast<short>(POLLIN | (has_ended ? 0 : POLLOUT)), 0};
    if (poll(&ready, 1, 30'000) <= 0) fail("an end hears nothing");
    if (random.below(50) == 0) usleep(random.below(2'000));
    if (!has_ended && (ready.revents & POLLOUT)) {
      const size_t size = std::min<size_t>(bytes - sent, 1 + random.below(65'536));
      for (size_t at = 0; at < size; at++) buffer[at] = pattern(sent + at);
      const ssize_t put = size == 0 ? 0 : send(fd, buffer.data(), size, MSG_NOSIGNAL);
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
  // A half of them begin with bytes that somebody has read before.
  size_t early = random.below(2) == 0 ? 0 : std::min<size_t>(bytes, 1 + random.below(5'000));
  std::vector<char> first(early);
  for (size_t at = 0; at < early; at++) first[at] = pattern(at);
  if (!tunnel->add_early(kClient, first.data(), early)) fail("no memory");
  relay->add(tunnel);

  const uint32_t way = random.below(6);
  bool is_whole[2] = {false, false};
  if (early > 0 || way > 1) {
    // Whoever goes: the bytes are not checked, only that the tunnel ends.
    std::vector<char> junk(1 + random.below(300'000), 'x');
    std::thread noise([&] {
      fcntl(near[0], F_SETFL, O_NONBLOCK);
      (void)!send(near[0], junk.data(), junk.size(), MSG_NOSIGNAL);
    });
    usleep(random.below(5'000));
    noise.join();
    if (way == 2) relay->give(slot, Order::abort);
    if (way == 3) relay->give(slot, Order::cut);
    if (way == 4) relay->give(slot, Order::release);
    if (way <= 1 || way == 5) reset(near[0]);
    const Told told = wait_for(slot);
    if (told.news == News::released) {
      const Relay::Released released = relay->collect(slot);
      if (released.tunnel == nullptr) fail("nothing was released");
      delete released.tunnel;
      close(released.client);
      close(released.upstream);
    }
    if (way > 1 && way != 5) close(near[0]);
    close(far[0]);
    return;
  }
  std::thread one(talk, near[0], bytes, seed + 1, &is_whole[0]);
  std::thread two(talk, far[0], bytes, seed + 2, &is_whole[1]);
  one.join();
  two.join();
  const Told told = wait_for(slot);
  close(near[0]);
  close(far[0]);
  if (!is_whole[0] || !is_whole[1]) fail("something is missing");
  if (told.news != News::over || told.detail > static_cast<int32_t>(End::upstream)) fail("another end");
  if (counters[0] != bytes || counters[1] != bytes) fail("counted wrongly");
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
  // One is open when the relay goes.
  int near[2];
  int far[2];
  connect_pair(near);
  connect_pair(far);
  relay->add(new Tunnel(at_once, near[1], far[1], &counters[2 * at_once]));
  (void)!write(near[0], "x", 1);
  delete relay;
  close(near[0]);
  close(far[0]);
  puts("ok");
  return 0;
}
