/**
 * The lane without Node, for sanitizers to watch: echoes of random sizes with pauses, resets, ends and descriptors given
 * away at any moment; who comes first when many have much; what happens when there are no descriptors left. Exit code 0
 * and `ok` when what arrived is what was sent and every socket is closed.
 *
 *   lane-harness CONNECTIONS SEED
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
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "../../native/lane.h"

using namespace viaduct;

namespace {

void fail(const char* what) {
  fprintf(stderr, "failed: %s (errno %d)\n", what, errno);
  _exit(1);
}
void check(bool is_true, const char* what) {
  if (!is_true) fail(what);
}

struct Random {
  uint32_t state;
  uint32_t below(uint32_t bound) {
    state = state * 1'664'525 + 1'013'904'223;
    return static_cast<uint32_t>((static_cast<uint64_t>(state) * bound) >> 32);
  }
};

char pattern(size_t at) { return static_cast<char>(at * 31 + (at >> 9)); }

/** A lane with its memory, of exactly the size that it is told. */
struct Bench {
  std::vector<uint8_t> states = std::vector<uint8_t>(Lane::kSocketsMax);
  std::vector<int32_t> happened = std::vector<int32_t>(kHappenedMax * kNumbersEach);
  std::vector<char> buffer = std::vector<char>(Lane::kBufferBytes);
  Lane lane;

  Bench() { check(lane.start({states.data(), happened.data(), buffer.data()}) == 0, "start"); }

  void want(uint32_t socket) {
    states[socket] |= kWanted;
    if ((states[socket] & kReady) != 0) lane.look_later(socket);
  }
  void pause(uint32_t socket) { states[socket] &= static_cast<uint8_t>(~kWanted); }

  struct Event {
    Happened what;
    uint32_t socket;
    int32_t first, second, third;
  };
  /** What happens within so many milliseconds. */
  std::vector<Event> turn(int ms) {
    if (!lane.has_more()) {
      struct pollfd ready = {lane.fd(), POLLIN, 0};
      poll(&ready, 1, ms);
    }
    const size_t count = lane.turn();
    check(count <= kHappenedMax, "more happened than there is room for");
    std::vector<Event> events;
    for (size_t at = 0; at < count; at++) {
      const int32_t* one = &happened[at * kNumbersEach];
      events.push_back({static_cast<Happened>(one[0]), static_cast<uint32_t>(one[1]), one[2], one[3], one[4]});
    }
    return events;
  }
};

uint16_t port_of(const Lane& lane, uint32_t socket) {
  sockaddr_storage address = {};
  check(lane.own(socket, &address), "own address");
  return ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

/** A listener of the system, not of the lane. */
struct Server {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  uint16_t port = 0;
  Server() {
    struct sockaddr_in address = {};
    socklen_t size = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(fd, 128) == 0, "listen");
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
  }
  ~Server() { close(fd); }
  int accept_one() {
    struct pollfd ready = {fd, POLLIN, 0};
    check(poll(&ready, 1, 10'000) == 1, "nobody connects");
    const int client = accept4(fd, nullptr, nullptr, SOCK_NONBLOCK);
    check(client >= 0, "accept");
    return client;
  }
};

int connect_to(uint16_t port) {
  struct sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  check(fd >= 0 && connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "connect");
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

void reset(int fd) {
  const struct linger at_once = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
}

/** The end of a connection that is not the lane's: sends the pattern, ends, and checks what comes back. */
struct Client {
  int fd;
  size_t bytes;
  bool is_whole_expected;
  size_t sent = 0;
  size_t got = 0;
  bool has_ended = false;
  bool is_done = false;

  void step(Random& random) {
    if (is_done) return;
    char piece[20'000];
    if (!has_ended) {
      const size_t size = std::min<size_t>(bytes - sent, 1 + random.below(sizeof piece));
      for (size_t at = 0; at < size; at++) piece[at] = pattern(sent + at);
      const ssize_t put = size == 0 ? 0 : send(fd, piece, size, MSG_NOSIGNAL);
      if (put > 0) sent += static_cast<size_t>(put);
      else if (put < 0 && errno != EAGAIN) return finish(false);
      if (sent == bytes) {
        shutdown(fd, SHUT_WR);
        has_ended = true;
      }
    }
    const ssize_t read = recv(fd, piece, 1 + random.below(sizeof piece), 0);
    if (read < 0 && errno == EAGAIN) return;
    if (read <= 0) return finish(read == 0 && got == bytes);
    for (ssize_t at = 0; at < read; at++) {
      check(piece[at] == pattern(got + static_cast<size_t>(at)), "bytes in another order");
    }
    got += static_cast<size_t>(read);
  }
  void finish(bool is_whole) {
    is_done = true;
    close(fd);
    check(is_whole || !is_whole_expected, "something is missing");
  }
};

/** The lane's end: sends back what comes. */
struct Echo {
  std::string unsent;
  bool has_ended = false;
  bool reads_itself = false;
  int paused_turns = 0;
  /** After so many bytes it is closed, reset, or given away; 0: never. */
  size_t leaves_after = 0;
  size_t got = 0;
};

class Echoes {
 public:
  Echoes(uint32_t seed) : random_{seed} {}

  void run(uint32_t connections) {
    const int listener = bench_.lane.listen("127.0.0.1", 0, 512, false);
    check(listener >= 0, "listen");
    check(bench_.lane.serve(static_cast<uint32_t>(listener)) == 0, "serve");
    const uint16_t port = port_of(bench_.lane, static_cast<uint32_t>(listener));
    Server server;
    uint32_t begun = 0;
    for (int turns = 0; begun < connections || !clients_.empty() || !echoes_.empty(); turns++) {
      check(turns < 1'000'000, "it never ends");
      while (begun < connections && clients_.size() < 40) begin(begun++, port, server);
      for (auto& client : clients_) {
        if (!client->is_whole_expected && random_.below(300) == 0 && !client->is_done) {
          client->is_done = true;
          reset(client->fd);
        } else {
          client->step(random_);
        }
      }
      clients_.erase(std::remove_if(clients_.begin(), clients_.end(), [](auto& one) { return one->is_done; }),
                     clients_.end());
      for (auto& [socket, echo] : echoes_) {
        if (echo.paused_turns > 0 && --echo.paused_turns == 0) bench_.want(socket);
      }
      closed_.clear();
      for (const auto& event : bench_.turn(1)) hear(event);
    }
    bench_.lane.close(static_cast<uint32_t>(listener), false);
    check(bench_.lane.size() == 0, "sockets are left");
    bench_.turn(0);
  }

 private:
  void begin(uint32_t which, uint16_t port, Server& server) {
    auto client = std::make_unique<Client>();
    client->bytes = random_.below(3) == 0 ? random_.below(600'000) : random_.below(3'000);
    client->is_whole_expected = which % 3 != 0;
    if (random_.below(2) == 0) {
      client->fd = connect_to(port);
    } else {
      const int socket = bench_.lane.dial("127.0.0.1", server.port);
      check(socket >= 0, "dial");
      dialling_.insert(static_cast<uint32_t>(socket));
      client->fd = server.accept_one();
    }
    clients_.push_back(std::move(client));
  }

  void hear(const Bench::Event& event) {
    const uint32_t socket = event.socket;
    // What was closed in this turn may still be spoken of, and its number is nobody else's yet.
    if (closed_.count(socket) > 0) {
      check(event.what != Happened::accepted, "a number is used again too early");
      return;
    }
    switch (event.what) {
      case Happened::accepted:
        check(event.third == INADDR_LOOPBACK && event.second > 0, "another address");
        return open(socket);
      case Happened::connected:
        check(dialling_.erase(socket) == 1, "nobody dials");
        if (event.first == 0) return open(socket);
        // Its peer may have reset before anybody looked.
        check(event.first == ECONNRESET, "cannot dial");
        return leave(socket, 0);
      case Happened::bytes:
        return take(socket, &bench_.buffer[static_cast<size_t>(event.first)], static_cast<size_t>(event.second));
      case Happened::readable: {
        char piece[30'000];
        const size_t size = 1 + random_.below(sizeof piece);
        const long got = bench_.lane.read(socket, piece, size);
        if (got > 0) {
          take(socket, piece, static_cast<size_t>(got));
          if (echoes_.count(socket) > 0 && echoes_[socket].paused_turns == 0) bench_.want(socket);
        } else if (got == 0) end(socket);
        else if (got != -EAGAIN) leave(socket, 0);
        return;
      }
      case Happened::ended:
        return end(socket);
      case Happened::writable:
        return flush(socket);
      case Happened::failed:
        return leave(socket, 0);
      case Happened::refused:
        fail("refused");
    }
  }

  void open(uint32_t socket) {
    check(echoes_.count(socket) == 0, "one number for two");
    Echo echo;
    echo.reads_itself = random_.below(2) == 0;
    if (echo.reads_itself) bench_.states[socket] |= kReadsItself;
    echo.paused_turns = static_cast<int>(random_.below(3));
    echoes_[socket] = echo;
    if (echo.paused_turns == 0) bench_.want(socket);
  }

  void take(uint32_t socket, const char* bytes, size_t size) {
    check(echoes_.count(socket) > 0, "bytes of nobody");
    Echo& echo = echoes_[socket];
    for (size_t at = 0; at < size; at++) check(bytes[at] == pattern(echo.got + at), "bytes in another order");
    echo.got += size;
    echo.unsent.append(bytes, size);
    if (random_.below(4) == 0 && echo.paused_turns == 0) {
      bench_.pause(socket);
      echo.paused_turns = 1 + static_cast<int>(random_.below(5));
    }
    flush(socket);
  }

  void end(uint32_t socket) {
    check(!echoes_[socket].has_ended, "two ends");
    echoes_[socket].has_ended = true;
    flush(socket);
  }

  void flush(uint32_t socket) {
    Echo& echo = echoes_[socket];
    while (!echo.unsent.empty()) {
      const long sent = bench_.lane.write(socket, echo.unsent.data(), echo.unsent.size());
      if (sent < 0) return leave(socket, 1);
      if (sent == 0) return;
      echo.unsent.erase(0, static_cast<size_t>(sent));
    }
    if (!echo.has_ended) return;
    check(bench_.lane.shut_down(socket) == 0 || errno == ENOTCONN, "shut down");
    leave(socket, random_.below(2));
  }

  /** Closes it, or takes its descriptor and closes that. */
  void leave(uint32_t socket, uint32_t way) {
    if (way == 0) {
      bench_.lane.close(socket, false);
    } else {
      const int fd = bench_.lane.release(socket);
      check(fd >= 0 && fcntl(fd, F_GETFD) >= 0, "no descriptor");
      close(fd);
    }
    // Twice is once.
    bench_.lane.close(socket, true);
    check(bench_.lane.release(socket) == -1, "a descriptor of nobody");
    echoes_.erase(socket);
    closed_.insert(socket);
  }

  Random random_;
  Bench bench_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::map<uint32_t, Echo> echoes_;
  std::set<uint32_t> dialling_;
  std::set<uint32_t> closed_;
};

/** A socket of the lane that keeps much for its reader, and its peer. */
uint32_t dial_roomy(Bench& bench, Server& server, int* peer) {
  // The lowest number that is free is the next one's.
  const int next = open("/dev/null", O_RDONLY);
  close(next);
  const int socket = bench.lane.dial("127.0.0.1", server.port);
  check(socket >= 0, "dial");
  const int much = 1'000'000;
  setsockopt(next, SOL_SOCKET, SO_RCVBUF, &much, sizeof much);
  *peer = server.accept_one();
  setsockopt(*peer, SOL_SOCKET, SO_SNDBUF, &much, sizeof much);
  return static_cast<uint32_t>(socket);
}

/** Nine with more than is read of them in a turn, and one with a byte: each has its turn soon. */
void nobody_waits_long() {
  Bench bench;
  Server server;
  constexpr size_t greedy = 9;
  std::vector<int> peers(greedy + 1);
  std::map<uint32_t, size_t> got;
  std::vector<uint32_t> sockets;
  for (int& peer : peers) sockets.push_back(dial_roomy(bench, server, &peer));
  const uint32_t small = sockets.back();
  std::vector<char> much(1'000'000);
  const auto fill = [&] {
    for (size_t at = 0; at < greedy; at++) {
      while (send(peers[at], much.data(), much.size(), MSG_NOSIGNAL) > 0) {
      }
    }
  };
  fill();
  for (int turns = 0; turns < 3; turns++) bench.turn(1);
  for (uint32_t socket : sockets) {
    if (socket != small) bench.want(socket);
  }
  int waited = 0;
  for (int turns = 0; turns < 60; turns++) {
    fill();
    if (turns == 20) {
      (void)!write(peers.back(), "x", 1);
      bench.want(small);
    }
    if (turns >= 20 && got[small] == 0) waited++;
    for (const auto& event : bench.turn(10)) {
      if (event.what == Happened::bytes) got[event.socket] += static_cast<size_t>(event.second);
    }
  }
  check(got[small] == 1 && waited <= 5, "one with a byte waits for those with much");
  size_t least = SIZE_MAX;
  size_t most = 0;
  for (size_t at = 0; at < greedy; at++) {
    least = std::min(least, got[sockets[at]]);
    most = std::max(most, got[sockets[at]]);
  }
  check(most <= 2 * least, "one with much gets more than another");
  for (uint32_t socket : sockets) bench.lane.close(socket, false);
  for (int peer : peers) close(peer);
}

/** Without descriptors whoever waits is turned away, and served again when there are some. */
void no_descriptors_left() {
  Bench bench;
  const int socket = bench.lane.listen("127.0.0.1", 0, 16, false);
  check(socket >= 0, "listen");
  const uint32_t listener = static_cast<uint32_t>(socket);
  check(bench.lane.serve(listener) == 0, "serve");
  const uint16_t port = port_of(bench.lane, listener);
  std::vector<int> clients;
  for (int count = 0; count < 3; count++) clients.push_back(connect_to(port));
  struct rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  const int next = open("/dev/null", O_RDONLY);
  close(next);
  const struct rlimit none = {static_cast<rlim_t>(next), before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  int refused = 0;
  for (int turns = 0; turns < 50; turns++) {
    for (const auto& event : bench.turn(1)) {
      check(event.what == Happened::refused && event.socket == listener && event.first == EMFILE, "not refused");
      refused++;
    }
  }
  // Under valgrind an accept that it does not allow has turned somebody away already.
  check(refused > 0 && refused <= 3, "refused more often than somebody came");
  for (int client : clients) {
    char byte;
    const ssize_t got = recv(client, &byte, 1, 0);
    check(got == 0 || (got < 0 && errno == ECONNRESET), "still in the queue");
    close(client);
  }
  setrlimit(RLIMIT_NOFILE, &before);
  const int late = connect_to(port);
  const auto events = bench.turn(1'000);
  check(events.size() == 1 && events[0].what == Happened::accepted, "not served again");
  bench.lane.close(events[0].socket, false);
  bench.lane.close(listener, false);
  close(late);
  check(bench.lane.size() == 0, "sockets are left");
}

/** What cannot be dialled or listened on, and a lane that goes with sockets open. */
void what_fails() {
  Bench bench;
  check(bench.lane.dial("example", 80) == -EINVAL && bench.lane.listen("::g", 0, 1, false) == -EINVAL, "no address");
  uint16_t port;
  {
    Server server;
    port = server.port;
  }
  const int socket = bench.lane.dial("127.0.0.1", port);
  check(socket >= 0, "dial");
  const auto events = bench.turn(1'000);
  check(events.size() == 1 && events[0].what == Happened::connected && events[0].first == ECONNREFUSED, "not refused");
  check(bench.turn(5).empty(), "told twice");
  bench.lane.close(static_cast<uint32_t>(socket), false);
  const int taken = bench.lane.listen("127.0.0.1", 0, 1, false);
  check(taken >= 0, "listen");
  const uint16_t used = port_of(bench.lane, static_cast<uint32_t>(taken));
  check(bench.lane.listen("127.0.0.1", used, 1, false) == -EADDRINUSE, "one port for two");
}

}  // namespace

int main(int, char** args) {
  const uint32_t connections = static_cast<uint32_t>(atoi(args[1]));
  const uint32_t seed = static_cast<uint32_t>(atoi(args[2]));
  what_fails();
  no_descriptors_left();
  nobody_waits_long();
  Echoes(seed).run(connections);
  puts("ok");
  return 0;
}
