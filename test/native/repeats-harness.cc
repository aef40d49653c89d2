/**
 * Tunnels that are opened by decisions of before, without Node, for sanitizers to watch: EpollSockets, Relay and Repeats as
 * the addon has them, with clients in threads of their own. Their heads are known, unknown or cut; targets echo, refuse, or
 * never answer; clients end first or last, reset at any moment, and stay longer than a tunnel goes unreported; decisions are
 * forgotten and credit is taken away at any moment. Exit code 0 and `ok` when every client got what it was to get, every
 * tunnel was reported as often as it should be, its bytes were counted, and no descriptor and nothing unreported is left.
 *
 *   repeats-harness CLIENTS SEED
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "../../native/address_text.h"
#include "../../native/epoll_sockets.h"
#include "../../native/relay.h"
#include "../../native/repeats.h"
#include "harness.h"

using namespace viaduct;

namespace {

const char kResponse[] = "HTTP/1.1 200 Connection established\r\n\r\n";
constexpr size_t kResponseBytes = sizeof kResponse - 1;
/** What a client gets that the loop has served: by itself, or behind an attempt that was handed back. */
const char kServed[] = "HTTP/1.1 502 by the loop\r\n\r\n";

sockaddr_in loopback(uint16_t port) {
  sockaddr_in one = {};
  one.sin_family = AF_INET;
  one.sin_port = htons(port);
  one.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return one;
}

int listen_on(int backlog, uint16_t* port) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(fd, backlog) == 0, "listen");
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  *port = ntohs(address.sin_port);
  return fd;
}

/** A socket that is bound already: those of one wave have different ports. */
int client_socket() {
  const sockaddr_in own = loopback(0);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(fd >= 0 && bind(fd, reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0, "bind");
  return fd;
}

uint16_t port_of(int fd) {
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

void reset(int fd) {
  const struct linger at_once = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
}

bool is_under_valgrind() {
  const char* loaded = getenv("LD_PRELOAD");
  return loaded != nullptr && strstr(loaded, "vgpreload") != nullptr;
}

int descriptors() {
  DIR* folder = opendir("/proc/self/fd");
  int count = 0;
  while (readdir(folder) != nullptr) count++;
  closedir(folder);
  return count;
}

/** Accepts, and sends back what comes; after so many bytes of some connections it ends or resets them. */
class Echo {
 public:
  Echo() : fd_(listen_on(1'024, &port)), thread_([this] { run(); }) {}
  ~Echo() {
    is_over_ = true;
    thread_.join();
    close(fd_);
  }
  uint16_t port = 0;

 private:
  struct Peer {
    int fd;
    std::string unsent;
    bool has_ended = false;
    bool is_to_end = false;
  };
  void run() {
    std::vector<Peer> peers;
    while (!is_over_) {
      std::vector<pollfd> ready = {{fd_, POLLIN, 0}};
      for (const Peer& peer : peers) {
        const int wanted = (peer.has_ended ? 0 : POLLIN) | (peer.unsent.empty() ? 0 : POLLOUT);
        ready.push_back({peer.fd, static_cast<short>(wanted), 0});
      }
      poll(ready.data(), ready.size(), 5);
      for (size_t at = peers.size(); at-- > 0;) {
        if (ready[at + 1].revents != 0 && !step(peers[at])) peers.erase(peers.begin() + static_cast<long>(at));
      }
      if ((ready[0].revents & POLLIN) == 0) continue;
      const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) peers.push_back({fd, ""});
    }
    for (const Peer& peer : peers) close(peer.fd);
  }
  bool step(Peer& peer) {
    char piece[16'384];
    const ssize_t got = peer.has_ended ? -1 : recv(peer.fd, piece, sizeof piece, 0);
    if (got > 0) peer.unsent.append(piece, static_cast<size_t>(got));
    else if (got == 0) peer.has_ended = true;
    else if (!peer.has_ended && errno != EAGAIN) return leave(peer);
    const ssize_t sent = send(peer.fd, peer.unsent.data(), peer.unsent.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return leave(peer);
    if (sent > 0) peer.unsent.erase(0, static_cast<size_t>(sent));
    // A byte by which a client asks for the other end to end first.
    if (got > 0 && piece[got - 1] == '!') peer.is_to_end = true;
    if (peer.is_to_end && peer.unsent.empty()) shutdown(peer.fd, SHUT_WR);
    return peer.has_ended && peer.unsent.empty() ? leave(peer) : true;
  }
  bool leave(const Peer& peer) {
    close(peer.fd);
    return false;
  }
  int fd_;
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

/** Accepts no client: its backlog is full. */
struct Silent {
  uint16_t port = 0;
  std::vector<int> fds;
  Silent() {
    fds.push_back(listen_on(0, &port));
    for (int count = 0; count < 4; count++) {
      const sockaddr_in to = loopback(port);
      fds.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      (void)!connect(fds.back(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
  }
  ~Silent() {
    for (const int fd : fds) close(fd);
  }
};

enum class Target : uint32_t { echo = 0, refused = 1, silent = 2, unknown = 3 };

std::string head_of(Target target) {
  return "CONNECT target-" + std::to_string(static_cast<uint32_t>(target)) + ":443 HTTP/1.1\r\nHost: x\r\n\r\n";
}

/** What one client has seen. */
struct Seen {
  bool is_tunnel = false;
  bool is_served = false;
  /** It got all, and saw the end. */
  bool is_whole = false;
  size_t bytes = 0;
};

enum class Way : uint32_t { ends_first, ends_last, stays, resets };

/** A client of its own thread. */
Seen visit(int fd, uint16_t port, Target target, Way way, size_t bytes, uint32_t seed) {
  Random random{seed};
  Seen seen;
  seen.bytes = bytes;
  const sockaddr_in to = loopback(port);
  check(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0, "connect");
  std::string sent = head_of(target);
  const size_t head_bytes = sent.size();
  for (size_t at = 0; at < bytes; at++) sent += static_cast<char>('a' + at % 26);
  // The target ends then.
  if (way == Way::ends_last && bytes > 0) sent.back() = '!';
  const size_t cut = random.below(3) == 0 ? 1 + random.below(static_cast<uint32_t>(head_bytes - 1)) : 0;
  if (way == Way::resets) {
    const size_t some = random.below(3) == 0 ? random.below(static_cast<uint32_t>(sent.size())) : sent.size();
    (void)!send(fd, sent.data(), some, MSG_NOSIGNAL);
    if (random.below(2) == 0) usleep(random.below(30'000));
    reset(fd);
    return seen;
  }
  if (cut > 0) {
    check(send(fd, sent.data(), cut, MSG_NOSIGNAL) == static_cast<ssize_t>(cut), "send a part");
    usleep(random.below(2'000));
  }
  size_t at = cut;
  std::string got;
  bool has_ended = false;
  char piece[16'384];
  fcntl(fd, F_SETFL, O_NONBLOCK);
  for (;;) {
    struct pollfd ready = {fd, static_cast<short>(POLLIN | (at < sent.size() ? POLLOUT : 0)), 0};
    check(poll(&ready, 1, 30'000) > 0, "a client gets no event");
    if (at < sent.size()) {
      const ssize_t put = send(fd, sent.data() + at, sent.size() - at, MSG_NOSIGNAL);
      if (put > 0) at += static_cast<size_t>(put);
      else if (put < 0 && errno != EAGAIN) break;
    }
    const ssize_t read = recv(fd, piece, sizeof piece, 0);
    if (read > 0) got.append(piece, static_cast<size_t>(read));
    if (read == 0 || (read < 0 && errno != EAGAIN)) break;
    const bool is_open = got.size() >= kResponseBytes;
    const bool is_answered = got.size() >= kResponseBytes + bytes;
    const bool ends_now = way == Way::ends_first ? is_open : is_answered && (way == Way::stays || bytes == 0);
    if (has_ended || at < sent.size() || !ends_now) continue;
    // Longer than a tunnel goes unreported.
    if (way == Way::stays) usleep(30'000 + random.below(20'000));
    shutdown(fd, SHUT_WR);
    has_ended = true;
  }
  close(fd);
  seen.is_tunnel = got.compare(0, kResponseBytes, kResponse) == 0;
  seen.is_served = got == kServed;
  seen.is_whole = seen.is_tunnel && got.substr(kResponseBytes) == sent.substr(head_bytes);
  return seen;
}

/** The addon without Node: the loop is this program's main thread. */
class Loop {
 public:
  struct Reported {
    uint64_t up;
    uint64_t down;
  };
  /** By the client's port: tunnels that were reported as over, and how often the loop was given the client. */
  std::map<uint16_t, std::vector<Reported>> reported;
  std::map<uint16_t, int> given;
  uint16_t port = 0;

  explicit Loop(uint32_t seed) : random_{seed} {
    check(pipe2(woken_, O_NONBLOCK | O_CLOEXEC) == 0, "pipe");
    check(sockets_.start({states_.data(), events_.data(), buffer_.data()}) == 0, "start");
    check(relay_->start() == 0 && repeats_->start() == 0, "start");
    relay_->begin_repeats(repeats_.get(), counters_.data());
    check(sockets_.repeat_with(repeats_.get()) == 0, "repeat");
    repeats_->set_credit(kCredit);
    const int number = sockets_.listen("127.0.0.1", 0, 512, false);
    check(number >= 0 && sockets_.serve(static_cast<uint32_t>(number)) == 0, "listen");
    listener_ = static_cast<uint32_t>(number);
    sockaddr_storage address = {};
    check(sockets_.local(listener_, &address), "own address");
    port = ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
  }
  /** As the addon ends: the relay's thread hands clients back as long as it runs. */
  ~Loop() {
    sockets_.repeat_with(nullptr);
    relay_.reset();
    repeats_.reset();
    close(woken_[0]);
    close(woken_[1]);
  }

  void learn(Target target, uint16_t at) {
    Decision decision;
    decision.id = static_cast<uint32_t>(target) + 1;
    decision.target_bytes = socket_address_of("127.0.0.1", at, &decision.target);
    memcpy(decision.response, kResponse, kResponseBytes);
    decision.response_bytes = kResponseBytes;
    const std::string head = head_of(target);
    if (repeats_->add({listener_, "127.0.0.1", ""}, head.data(), head.size(), decision)) sockets_.await_bytes(listener_);
  }

  /** Decisions and credit come and go. */
  void change() {
    const uint32_t what = random_.below(100);
    if (what == 0) repeats_->renew();
    if (what == 1) repeats_->set_credit(random_.below(kCredit));
    if (what == 2) repeats_->set_credit(0);
    if (what > 90) repeats_->set_credit(kCredit);
    if (what == 3) sockets_.pause(listener_);
    else check(sockets_.serve(listener_) == 0, "serve");
  }

  void turn() {
    struct pollfd ready[] = {{sockets_.fd(), POLLIN, 0}, {woken_[0], POLLIN, 0}};
    if (!sockets_.has_more()) poll(ready, 2, 2);
    read_news();
    const size_t count = sockets_.tick();
    std::vector<uint32_t> served;
    for (size_t at = 0; at < count; at++) on_event(&events_[at * kNumbersPerEvent], &served);
    for (const uint32_t socket : served) {
      check(sockets_.write(socket, kServed, sizeof kServed - 1) != 0, "no space for a response");
      sockets_.shut_down(socket);
    }
  }

  bool is_idle() const { return accepted_.empty() && open_.empty() && repeats_->unreported() == 0; }

  /** Forgets all decisions, as a reload does, and waits for what was opened by them. */
  void settle() {
    for (int renewed = 0; renewed < 2; turn()) renewed = repeats_->renew() == 0 ? renewed + 1 : 0;
  }

 private:
  static void wake(void* self) {
    const char byte = 1;
    (void)!write(static_cast<Loop*>(self)->woken_[1], &byte, 1);
  }

  void read_news() {
    char bytes[64];
    while (read(woken_[0], bytes, sizeof bytes) > 0) {
    }
    const auto [reports, events] = relay_->take_news();
    for (const Report& report : reports) {
      check(report.decision == static_cast<uint32_t>(Target::echo) + 1, "a tunnel to a target that accepts no client");
      check(report.accepted_ms <= report.opened_ms && report.opened_ms <= report.ended_ms, "times");
      if (report.kind == TunnelReport::over) reported[report.client_port].push_back({report.up, report.down});
      else check(open_.emplace(report.slot, report.client_port).second, "reported twice");
      repeats_->reported(report.table);
    }
    // Other tunnels begin meanwhile: their slots must not be those of the tunnels that have just ended.
    if (random_.below(4) == 0) usleep(1'000);
    for (const Event& event : events) {
      check(open_.count(event.slot) == 1, "an event of a tunnel that is not open");
      if (event.kind == RelayEvent::half_closed) continue;
      check(event.kind == RelayEvent::closed, "another event");
      const uint64_t* counted = &counters_[2 * (Relay::index_of(event.slot) & ~kRepeatedSlot)];
      reported[open_[event.slot]].push_back({counted[0], counted[1]});
      open_.erase(event.slot);
    }
    relay_->release(events);
  }

  void on_event(const int32_t* event, std::vector<uint32_t>* served) {
    const auto socket = static_cast<uint32_t>(event[1]);
    switch (static_cast<SocketEvent>(event[0])) {
      case SocketEvent::accepted:
        check(accepted_.emplace(socket, "").second, "accepted twice");
        check(static_cast<uint32_t>(event[2]) == listener_ && event[4] == INADDR_LOOPBACK, "another client");
        given[static_cast<uint16_t>(event[3])] += 1;
        states_[socket & (kSocketsMax - 1)] |= kStateWanted;
        return;
      case SocketEvent::bytes: {
        check(accepted_.count(socket) == 1, "bytes of no client");
        std::string& got = accepted_[socket];
        const bool was_whole = got.find("\r\n\r\n") != std::string::npos;
        got.append(&buffer_[static_cast<size_t>(event[2])], static_cast<size_t>(event[3]));
        check(got.compare(0, std::min<size_t>(got.size(), 8), std::string("CONNECT ").substr(0, got.size())) == 0,
              "a head that begins elsewhere");
        if (!was_whole && got.find("\r\n\r\n") != std::string::npos) served->push_back(socket);
        return;
      }
      case SocketEvent::ended:
      case SocketEvent::failed:
        sockets_.close(socket);
        accepted_.erase(socket);
        return;
      case SocketEvent::accept_failed:
        check(event[2] == EMFILE && sockets_.serve(listener_) == 0, "refused");
        return;
      default:
        return;
    }
  }

  static constexpr uint32_t kCredit = 24;
  Random random_;
  int woken_[2];
  uint32_t listener_ = 0;
  std::vector<uint8_t> states_ = std::vector<uint8_t>(kSocketsMax);
  std::vector<int32_t> events_ = std::vector<int32_t>(kSocketEventsMax * kNumbersPerEvent);
  std::vector<char> buffer_ = std::vector<char>(kSharedBufferBytes);
  std::vector<uint64_t> counters_ = std::vector<uint64_t>(2 * kRepeatedMax);
  /** What clients have sent that the loop serves. */
  std::map<uint32_t, std::string> accepted_;
  /** Clients of tunnels that were reported as open. */
  std::map<uint32_t, uint16_t> open_;
  EpollSockets sockets_;
  std::unique_ptr<Relay> relay_ = std::make_unique<Relay>(&Loop::wake, this);
  std::unique_ptr<Repeats> repeats_ = std::make_unique<Repeats>(*relay_);
};

struct Visitor {
  int fd = -1;
  uint16_t port = 0;
  Target target = Target::echo;
  Way way = Way::stays;
  size_t bytes = 0;
  uint32_t seed = 0;
  Seen seen;
};

/** What each client has seen is what was reported of it. */
void compare(Loop& loop, const std::vector<Visitor>& visitors, size_t* tunnels) {
  for (const Visitor& one : visitors) {
    const auto& reports = loop.reported[one.port];
    const int given = loop.given[one.port];
    if (one.way == Way::resets) {
      // The loop gets one that has not read that its tunnel is open, or that has sent nothing.
      check(reports.size() + static_cast<size_t>(given) <= 1, "a client that resets counts twice");
      continue;
    }
    check(reports.size() + static_cast<size_t>(given) == 1, "not once either reported or given to the loop");
    check(one.seen.is_tunnel == (reports.size() == 1) && one.seen.is_served == (given == 1), "another answer");
    check(one.target == Target::echo || given == 1, "a tunnel to nowhere");
    if (given == 1) continue;
    *tunnels += 1;
    check(one.seen.is_whole, "something is missing");
    check(reports[0].up == one.bytes && reports[0].down == one.bytes, "not as many bytes as have passed");
  }
}

void run(uint32_t clients, uint32_t seed) {
  Random random{seed};
  Echo echo;
  Silent silent;
  uint16_t refusing;
  close(listen_on(1, &refusing));
  Loop loop(seed);
  size_t tunnels = 0;
  for (uint32_t begun = 0; begun < clients;) {
    std::vector<Visitor> visitors(std::min<uint32_t>(30, clients - begun));
    for (Visitor& one : visitors) {
      begun++;
      one.fd = client_socket();
      one.port = port_of(one.fd);
      one.target = random.below(2) == 0 ? Target::echo : static_cast<Target>(random.below(4));
      one.way = static_cast<Way>(random.below(4));
      one.bytes = random.below(4) == 0 ? random.below(200'000) : random.below(2'000);
      one.seed = seed * 1'000 + begun;
    }
    std::atomic<size_t> at_work{visitors.size()};
    std::vector<std::thread> threads;
    for (Visitor& one : visitors) {
      threads.emplace_back([&, at = &one] {
        at->seen = visit(at->fd, loop.port, at->target, at->way, at->bytes, at->seed);
        at_work -= 1;
      });
    }
    for (int turns = 0; at_work > 0 || !loop.is_idle(); turns++) {
      check(turns < 100'000, "it never ends");
      loop.learn(Target::echo, echo.port);
      loop.learn(Target::refused, refusing);
      loop.learn(Target::silent, silent.port);
      if (at_work > 0) loop.change();
      loop.turn();
    }
    for (std::thread& thread : threads) thread.join();
    loop.settle();
    compare(loop, visitors, &tunnels);
    loop.reported.clear();
    loop.given.clear();
  }
  check(tunnels > clients / 20, "hardly anything is repeated");
}

/** One client that sends the head of a target; how often the loop was given it, and how many tunnels it has had. */
std::pair<int, size_t> visit_once(Loop& loop, Target target, uint32_t seed) {
  Visitor one;
  one.fd = client_socket();
  one.port = port_of(one.fd);
  std::atomic<bool> is_over{false};
  std::thread thread([&] {
    one.seen = visit(one.fd, loop.port, target, Way::ends_first, 10, seed);
    is_over = true;
  });
  while (!is_over || !loop.is_idle()) loop.turn();
  thread.join();
  return {loop.given[one.port], loop.reported[one.port].size()};
}

/** What the loop gets by itself though there is a decision, or was one. */
void gives_up() {
  Echo echo;
  Loop loop(1);
  uint32_t visits = 0;
  const auto is_repeated = [&] {
    const auto [given, tunnels] = visit_once(loop, Target::echo, visits += 1'000);
    check(given + static_cast<int>(tunnels) == 1, "not once");
    return tunnels == 1;
  };
  // A head may come in two parts; then it is the loop's.
  const auto is_ever_repeated = [&] {
    for (int tries = 0; tries < 50; tries++) {
      loop.learn(Target::echo, echo.port);
      if (is_repeated()) return true;
      loop.settle();
    }
    return false;
  };
  check(!is_repeated(), "a tunnel that was never decided about");
  check(is_ever_repeated(), "nothing is repeated");
  loop.settle();
  check(!is_repeated(), "a decision that was forgotten");
  check(is_ever_repeated(), "nothing is repeated any more");
  // The loop stalls, so that the table is not renewed in time.
  usleep(1'300'000);
  for (int tries = 0; tries < 3; tries++) check(!is_repeated(), "a decision that is too old");
  loop.settle();
  check(is_ever_repeated(), "nothing is repeated behind a stall");
  // There is a descriptor for the client, and none for the target.
  struct rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  if (is_under_valgrind()) return;
  for (int tries = 0; tries < 3; tries++) {
    Visitor one;
    one.fd = client_socket();
    one.port = port_of(one.fd);
    const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(next);
    const struct rlimit few = {static_cast<rlim_t>(next) + 1, before.rlim_max};
    loop.learn(Target::echo, echo.port);
    const sockaddr_in to = loopback(loop.port);
    check(connect(one.fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0, "connect");
    const std::string head = head_of(Target::echo);
    setrlimit(RLIMIT_NOFILE, &few);
    check(send(one.fd, head.data(), head.size(), MSG_NOSIGNAL) > 0, "send");
    while (loop.given[one.port] == 0) loop.turn();
    setrlimit(RLIMIT_NOFILE, &before);
    shutdown(one.fd, SHUT_WR);
    while (!loop.is_idle()) loop.turn();
    close(one.fd);
    check(loop.reported[one.port].empty(), "a tunnel without a descriptor");
  }
}

/** What is open, on its way and handed back when all is destroyed. */
void ends_in_the_middle(uint32_t seed) {
  Echo echo;
  Silent silent;
  std::vector<int> clients;
  {
    Loop loop(seed);
    for (int count = 0; count < 20; count++) {
      loop.learn(Target::echo, echo.port);
      loop.learn(Target::silent, silent.port);
      clients.push_back(client_socket());
      const sockaddr_in to = loopback(loop.port);
      check(connect(clients.back(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0, "connect");
      const std::string head = head_of(count % 2 == 0 ? Target::echo : Target::silent);
      check(send(clients.back(), head.data(), head.size(), MSG_NOSIGNAL) > 0, "send");
      loop.turn();
    }
    // Some of those to the silent target are handed back meanwhile, and the loop does not take them.
    usleep(seed % 2 == 0 ? 0 : 300'000);
  }
  for (const int client : clients) close(client);
}

}  // namespace

int main(int, char** args) {
  const uint32_t clients = static_cast<uint32_t>(atoi(args[1]));
  const uint32_t seed = static_cast<uint32_t>(atoi(args[2]));
  const int before = descriptors();
  gives_up();
  ends_in_the_middle(seed);
  ends_in_the_middle(seed + 1);
  run(clients, seed);
  check(descriptors() == before, "descriptors are left");
  puts("ok");
  return 0;
}
