/**
 * The epoll sockets without Node, for sanitizers to watch: echoes of random sizes with pauses, resets, ends and descriptors
 * given away at any moment; fairness between sockets with much to read; no descriptors left; numbers of closed sockets.
 * Exit code 0 and `ok` when what arrived is what was sent and every socket is closed.
 *
 *   epoll-sockets-harness CONNECTIONS SEED
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

#include "../../native/epoll_sockets.h"
#include "harness.h"

using namespace viaduct;

namespace {

char pattern(size_t at) { return static_cast<char>(at * 31 + (at >> 9)); }

uint32_t index_of(uint32_t number) { return number & (kSocketsMax - 1); }

/** Epoll sockets with memory of exactly the size that they use. */
struct Bench {
  std::vector<uint8_t> states = std::vector<uint8_t>(kSocketsMax);
  std::vector<int32_t> shared_events = std::vector<int32_t>(kSocketEventsMax * kNumbersPerEvent);
  std::vector<char> buffer = std::vector<char>(kSharedBufferBytes);
  EpollSockets sockets;

  Bench() { check(sockets.start({states.data(), shared_events.data(), buffer.data()}) == 0, "start"); }

  uint8_t& state_of(uint32_t socket) { return states[index_of(socket)]; }
  void want(uint32_t socket) {
    state_of(socket) |= kStateWanted;
    if ((state_of(socket) & kStateReady) != 0) sockets.read_later(socket);
  }
  void pause(uint32_t socket) { state_of(socket) &= static_cast<uint8_t>(~kStateWanted); }

  struct Event {
    SocketEvent kind;
    uint32_t socket;
    int32_t first, second, third;
  };
  /** What happens within so many milliseconds. */
  std::vector<Event> tick(int ms) {
    if (!sockets.has_more()) {
      struct pollfd ready = {sockets.fd(), POLLIN, 0};
      poll(&ready, 1, ms);
    }
    const size_t count = sockets.tick();
    check(count <= kSocketEventsMax, "more events than there is space for");
    std::vector<Event> events;
    for (size_t at = 0; at < count; at++) {
      const int32_t* one = &shared_events[at * kNumbersPerEvent];
      events.push_back({static_cast<SocketEvent>(one[0]), static_cast<uint32_t>(one[1]), one[2], one[3], one[4]});
    }
    return events;
  }
};

uint16_t port_of(EpollSockets& sockets, uint32_t socket) {
  sockaddr_storage address = {};
  check(sockets.local(socket, &address), "own address");
  return ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

/** A listener that is not one of the epoll sockets. */
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
    check(poll(&ready, 1, 10'000) == 1, "no client connects");
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

/** The other end of a connection: sends the pattern, some of it urgent, ends, and checks what comes back. */
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
      const int urgent = random.below(4) == 0 ? MSG_OOB : 0;
      const ssize_t put = size == 0 ? 0 : send(fd, piece, size, MSG_NOSIGNAL | urgent);
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

/** The end under test: sends back what comes. */
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
    const int listener = bench_.sockets.listen("127.0.0.1", 0, 512, false);
    check(listener >= 0, "listen");
    check(bench_.sockets.serve(static_cast<uint32_t>(listener)) == 0, "serve");
    const uint16_t port = port_of(bench_.sockets, static_cast<uint32_t>(listener));
    Server server;
    uint32_t begun = 0;
    for (int ticks = 0; begun < connections || !clients_.empty() || !echoes_.empty(); ticks++) {
      check(ticks < 1'000'000, "it never ends");
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
      for (const auto& event : bench_.tick(1)) on_event(event);
    }
    bench_.sockets.close(static_cast<uint32_t>(listener));
    check(bench_.sockets.size() == 0, "sockets are left");
    bench_.tick(0);
  }

 private:
  void begin(uint32_t which, uint16_t port, Server& server) {
    auto client = std::make_unique<Client>();
    client->bytes = random_.below(3) == 0 ? random_.below(600'000) : random_.below(3'000);
    client->is_whole_expected = which % 3 != 0;
    if (random_.below(2) == 0) {
      client->fd = connect_to(port);
    } else {
      const int socket = bench_.sockets.dial("127.0.0.1", server.port, "");
      check(socket >= 0, "dial");
      dialling_.insert(static_cast<uint32_t>(socket));
      client->fd = server.accept_one();
    }
    clients_.push_back(std::move(client));
  }

  void on_event(const Bench::Event& event) {
    const uint32_t socket = event.socket;
    // Events of this tick may name a socket that was closed in it; its index is not used again yet.
    if (closed_.count(socket) > 0) {
      check(event.kind != SocketEvent::accepted, "a number is used again");
      return;
    }
    switch (event.kind) {
      case SocketEvent::accepted:
        for (const uint32_t one : closed_) check(index_of(one) != index_of(socket), "an index is used again too early");
        check(event.third == INADDR_LOOPBACK && event.second > 0, "another address");
        return open(socket);
      case SocketEvent::connected:
        check(dialling_.erase(socket) == 1, "connected without a dial");
        if (event.first == 0) return open(socket);
        // Its peer may have reset before the first tick.
        check(event.first == ECONNRESET, "cannot dial");
        return leave(socket, 0);
      case SocketEvent::bytes:
        return take(socket, &bench_.buffer[static_cast<size_t>(event.first)], static_cast<size_t>(event.second));
      case SocketEvent::readable: {
        char piece[30'000];
        const size_t size = 1 + random_.below(sizeof piece);
        const long got = bench_.sockets.read(socket, piece, size);
        if (got > 0) {
          take(socket, piece, static_cast<size_t>(got));
          if (echoes_.count(socket) > 0 && echoes_[socket].paused_turns == 0) bench_.want(socket);
        } else if (got == 0) end(socket);
        else if (got != -EAGAIN) leave(socket, 0);
        return;
      }
      case SocketEvent::ended:
        return end(socket);
      case SocketEvent::writable:
        return flush(socket);
      case SocketEvent::failed:
        return leave(socket, 0);
      case SocketEvent::accept_failed:
        fail("refused");
    }
  }

  void open(uint32_t socket) {
    check(echoes_.count(socket) == 0, "one number for two");
    Echo echo;
    echo.reads_itself = random_.below(2) == 0;
    if (echo.reads_itself) bench_.state_of(socket) |= kStateOwnerReads;
    echo.paused_turns = static_cast<int>(random_.below(3));
    echoes_[socket] = echo;
    if (echo.paused_turns == 0) bench_.want(socket);
  }

  void take(uint32_t socket, const char* bytes, size_t size) {
    check(echoes_.count(socket) > 0, "bytes of a socket that is not open");
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
      const long sent = bench_.sockets.write(socket, echo.unsent.data(), echo.unsent.size());
      if (sent < 0) return leave(socket, 1);
      if (sent == 0) return;
      echo.unsent.erase(0, static_cast<size_t>(sent));
    }
    if (!echo.has_ended) return;
    check(bench_.sockets.shut_down(socket) == 0 || errno == ENOTCONN, "shut down");
    leave(socket, random_.below(2));
  }

  /** Closes it, or takes its descriptor and closes that. */
  void leave(uint32_t socket, uint32_t way) {
    if (way == 0) {
      bench_.sockets.close(socket);
    } else {
      const int fd = bench_.sockets.take_fd(socket);
      check(fd >= 0 && fcntl(fd, F_GETFD) >= 0, "no descriptor");
      close(fd);
    }
    // Twice is once.
    bench_.sockets.reset(socket);
    check(bench_.sockets.take_fd(socket) == -1, "a descriptor of a closed socket");
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

/** A socket with large buffers, and its peer. */
uint32_t dial_roomy(Bench& bench, Server& server, int* peer) {
  // The lowest number that is free is the next one's.
  const int next = open("/dev/null", O_RDONLY);
  close(next);
  const int socket = bench.sockets.dial("127.0.0.1", server.port, "");
  check(socket >= 0, "dial");
  const int much = 1'000'000;
  setsockopt(next, SOL_SOCKET, SO_RCVBUF, &much, sizeof much);
  *peer = server.accept_one();
  setsockopt(*peer, SOL_SOCKET, SO_SNDBUF, &much, sizeof much);
  return static_cast<uint32_t>(socket);
}

/** Nine sockets with more than a tick reads, and one with a byte: each is read soon. */
void reads_are_fair() {
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
  for (int ticks = 0; ticks < 3; ticks++) bench.tick(1);
  for (uint32_t socket : sockets) {
    if (socket != small) bench.want(socket);
  }
  int waited = 0;
  for (int ticks = 0; ticks < 60; ticks++) {
    fill();
    if (ticks == 20) {
      (void)!write(peers.back(), "x", 1);
      bench.want(small);
    }
    if (ticks >= 20 && got[small] == 0) waited++;
    for (const auto& event : bench.tick(10)) {
      if (event.kind == SocketEvent::bytes) got[event.socket] += static_cast<size_t>(event.second);
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
  for (uint32_t socket : sockets) bench.sockets.close(socket);
  for (int peer : peers) close(peer);
}

bool is_under_valgrind() {
  const char* loaded = getenv("LD_PRELOAD");
  return loaded != nullptr && strstr(loaded, "vgpreload") != nullptr;
}

/** Without descriptors clients wait, that is reported once, and they are served when there are some. */
void no_descriptors_left() {
  Bench bench;
  const int socket = bench.sockets.listen("127.0.0.1", 0, 16, false);
  check(socket >= 0, "listen");
  const uint32_t listener = static_cast<uint32_t>(socket);
  check(bench.sockets.serve(listener) == 0 && bench.sockets.serve(listener) == 0, "serve");
  const uint16_t port = port_of(bench.sockets, listener);
  std::vector<int> clients;
  for (int count = 0; count < 3; count++) clients.push_back(connect_to(port));
  struct rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  const int next = open("/dev/null", O_RDONLY);
  close(next);
  const struct rlimit none = {static_cast<rlim_t>(next), before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  size_t waiting = clients.size();
  // Closed when all is over, or there would be a descriptor.
  std::set<int> lost;
  for (int tries = 0; tries < 3; tries++) {
    int refused = 0;
    for (int ticks = 0; ticks < 20; ticks++) {
      for (const auto& event : bench.tick(1)) {
        check(event.kind == SocketEvent::accept_failed && event.socket == listener && event.first == EMFILE, "not refused");
        refused++;
      }
    }
    // Under valgrind the system accepts what valgrind does not allow, and one client is lost at each try.
    check(refused == (waiting > 0 ? 1 : 0), "not refused once for each time that it is served");
    for (const int client : clients) {
      char byte;
      const ssize_t got = recv(client, &byte, 1, 0);
      if (got < 0 && errno == EAGAIN) continue;
      check(is_under_valgrind(), "a client that waits is closed");
      if (lost.insert(client).second) waiting--;
    }
    check(bench.sockets.serve(listener) == 0, "serve");
  }
  setrlimit(RLIMIT_NOFILE, &before);
  clients.push_back(connect_to(port));
  waiting++;
  for (int ticks = 0; ticks < 1'000 && waiting > 0; ticks++) {
    for (const auto& event : bench.tick(10)) {
      if (event.kind == SocketEvent::accept_failed) continue;
      check(event.kind == SocketEvent::accepted, "not served again");
      bench.sockets.close(event.socket);
      waiting--;
    }
    check(bench.sockets.serve(listener) == 0, "serve");
  }
  check(waiting == 0, "a client waits for ever");
  // Endpoint connects while it rests waits; one that has rested twice goes on at once.
  bench.sockets.pause(listener);
  bench.sockets.pause(listener);
  clients.push_back(connect_to(port));
  check(bench.tick(20).empty(), "it accepts while it rests");
  check(bench.sockets.serve(listener) == 0, "serve");
  const auto events = bench.tick(1'000);
  check(events.size() == 1 && events[0].kind == SocketEvent::accepted, "not served after a rest");
  bench.sockets.close(events[0].socket);
  bench.sockets.close(listener);
  bench.sockets.pause(listener);
  for (const int client : clients) close(client);
  check(bench.sockets.size() == 0, "sockets are left");
}

/** What cannot be dialled or listened on, and epoll sockets that are destroyed with some of them open. */
void what_fails() {
  Bench bench;
  check(bench.sockets.dial("example", 80, "") == -EINVAL && bench.sockets.listen("::g", 0, 1, false) == -EINVAL, "no address");
  uint16_t port;
  {
    Server server;
    port = server.port;
    check(bench.sockets.dial("127.0.0.1", port, "example") == -EINVAL, "from no address");
    check(bench.sockets.dial("127.0.0.1", port, "192.0.2.1") == -EADDRNOTAVAIL, "from an address of another machine");
    check(bench.sockets.size() == 0, "a socket that could not be bound is left");
    const int from = bench.sockets.dial("127.0.0.1", port, "127.0.0.5");
    check(from >= 0, "dial from");
    sockaddr_storage local;
    check(bench.sockets.local(static_cast<uint32_t>(from), &local), "local");
    check(reinterpret_cast<sockaddr_in*>(&local)->sin_addr.s_addr == inet_addr("127.0.0.5"), "from another address");
    bench.sockets.close(static_cast<uint32_t>(from));
    bench.tick(0);
  }
  const int socket = bench.sockets.dial("127.0.0.1", port, "");
  check(socket >= 0, "dial");
  const auto events = bench.tick(1'000);
  check(events.size() == 1 && events[0].kind == SocketEvent::connected && events[0].first == ECONNREFUSED, "not refused");
  check(bench.tick(5).empty(), "event twice");
  bench.sockets.close(static_cast<uint32_t>(socket));
  const int taken = bench.sockets.listen("127.0.0.1", 0, 1, false);
  check(taken >= 0, "listen");
  const uint16_t used = port_of(bench.sockets, static_cast<uint32_t>(taken));
  check(bench.sockets.listen("127.0.0.1", used, 1, false) == -EADDRINUSE, "one port for two");
  // A listener that is shut down refuses clients and leaves its port to the next one, and its number is its own still.
  check(bench.sockets.serve(static_cast<uint32_t>(taken)) == 0, "serve");
  bench.sockets.pause(static_cast<uint32_t>(taken));
  check(bench.sockets.shut_down(static_cast<uint32_t>(taken)) == 0, "shut down");
  const int refused = bench.sockets.dial("127.0.0.1", used, "");
  const auto none = bench.tick(1'000);
  check(none.size() == 1 && none[0].kind == SocketEvent::connected && none[0].first == ECONNREFUSED, "not refused");
  bench.sockets.close(static_cast<uint32_t>(refused));
  check(bench.sockets.listen("127.0.0.1", used, 1, false) >= 0, "its port is taken");
  check(port_of(bench.sockets, static_cast<uint32_t>(taken)) == used, "another address");
}

/** A call with the number of no open socket does nothing to any other. */
void does_nothing(Bench& bench, uint32_t number) {
  char byte = 'x';
  sockaddr_storage address;
  EpollSockets& sockets = bench.sockets;
  const uint8_t before = bench.state_of(number);
  check(sockets.serve(number) == EBADF && sockets.shut_down(number) == EBADF, "a socket of that number");
  check(sockets.write(number, &byte, 1) == -EBADF && sockets.read(number, &byte, 1) == -EBADF, "bytes of that number");
  check(!sockets.is_quiet(number), "a quiet socket of that number");
  check(sockets.take_fd(number) == -1, "a descriptor of that number");
  check(!sockets.peer(number, &address) && !sockets.local(number, &address), "an address of that number");
  sockets.pause(number);
  sockets.read_later(number);
  sockets.keep_alive(number, 60);
  sockets.bound_silence(number, 60'000);
  sockets.close(number);
  sockets.reset(number);
  check(bench.state_of(number) == before, "another state");
}

/** The number of a closed socket means no later one in its place; nor does a number that was never given out. */
void stale_numbers() {
  Bench bench;
  Server server;
  const auto dial = [&] {
    const int number = bench.sockets.dial("127.0.0.1", server.port, "");
    check(number >= 0, "dial");
    return static_cast<uint32_t>(number);
  };
  const uint32_t first = dial();
  close(server.accept_one());
  bench.sockets.close(first);
  bench.tick(0);
  const uint32_t second = dial();
  check(index_of(first) == index_of(second) && first != second, "no generation");
  const int peer = server.accept_one();
  const auto events = bench.tick(1'000);
  check(events.size() == 1 && events[0].kind == SocketEvent::connected && events[0].socket == second, "connected");
  bench.want(second);
  for (const uint32_t stale : {first, second + kSocketsMax, second | 0x80000000u, kSocketsMax - 1, 1u, UINT32_MAX}) {
    does_nothing(bench, stale);
  }
  check(bench.sockets.size() == 1, "a stale number has closed a socket");
  char byte = 'y';
  check(bench.sockets.write(second, &byte, 1) == 1 && recv(peer, &byte, 1, MSG_WAITALL) == 1 && byte == 'y', "write");
  check(bench.sockets.is_quiet(second), "not quiet");
  check(send(peer, "z", 1, 0) == 1, "send");
  check(!bench.sockets.is_quiet(second), "quiet with a byte to read");
  const auto bytes = bench.tick(1'000);
  check(bytes.size() == 1 && bytes[0].kind == SocketEvent::bytes && bytes[0].socket == second, "no bytes");
  bench.sockets.close(second);
  close(peer);
}

/** Every number is a positive one for JavaScript, and the generations of an index begin again after the last. */
void generations_wrap() {
  Bench bench;
  std::set<int> numbers;
  for (int count = 0; count < 5'000; count++) {
    const int number = bench.sockets.listen("127.0.0.1", 0, 1, false);
    check(number >= 0 && index_of(static_cast<uint32_t>(number)) == 0, "another index");
    numbers.insert(number);
    bench.sockets.close(static_cast<uint32_t>(number));
    bench.tick(0);
  }
  check(numbers.size() == 4'096, "not as many generations as there are bits");
}

}  // namespace

int main(int, char** args) {
  const uint32_t connections = static_cast<uint32_t>(atoi(args[1]));
  const uint32_t seed = static_cast<uint32_t>(atoi(args[2]));
  what_fails();
  stale_numbers();
  generations_wrap();
  no_descriptors_left();
  reads_are_fair();
  Echoes(seed).run(connections);
  puts("ok");
  return 0;
}
