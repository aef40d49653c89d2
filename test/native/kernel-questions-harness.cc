/**
 * What the kernel is asked about this machine, without Node, for sanitizers to watch. Whose a socket is: connections of IPv4, IPv6 and
 * both; ends that no process has; answers of the kernel that are cut at every place. The addresses of all interfaces. Exit code 0 and `ok` when each answer is right and no descriptor is left.
 *
 *   kernel-questions-harness CONNECTIONS SEED
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../../native/interface_addresses.h"
#include "../../native/socket_owner.h"

using namespace viaduct;

namespace {

void check(bool is_true, const char* what) {
  if (is_true) return;
  fprintf(stderr, "failed: %s (errno %d)\n", what, errno);
  _exit(1);
}

int open_descriptors() {
  DIR* folder = opendir("/proc/self/fd");
  check(folder != nullptr, "descriptors");
  int count = 0;
  while (readdir(folder) != nullptr) count++;
  closedir(folder);
  return count;
}

/** A listener, and a connection to it. */
struct Connection {
  int listener;
  int client;
  int accepted;
  sockaddr_storage from = {};
  sockaddr_storage to = {};
  /** `dual`: the listener is one for both families, and the client speaks IPv4. */
  Connection(int family, bool dual) {
    const int listened = dual ? AF_INET6 : family;
    listener = socket(listened, SOCK_STREAM, 0);
    sockaddr_storage own = {};
    socklen_t size = sizeof own;
    own.ss_family = static_cast<sa_family_t>(listened);
    check(bind(listener, reinterpret_cast<sockaddr*>(&own), size_of(listened)) == 0 && listen(listener, 1) == 0, "listen");
    getsockname(listener, reinterpret_cast<sockaddr*>(&own), &size);
    sockaddr_storage target = {};
    target.ss_family = static_cast<sa_family_t>(family);
    const uint16_t port = reinterpret_cast<sockaddr_in*>(&own)->sin_port;
    if (family == AF_INET) {
      auto& four = reinterpret_cast<sockaddr_in&>(target);
      four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      four.sin_port = port;
    } else {
      auto& six = reinterpret_cast<sockaddr_in6&>(target);
      six.sin6_addr = in6addr_loopback;
      six.sin6_port = port;
    }
    client = socket(family, SOCK_STREAM, 0);
    check(connect(client, reinterpret_cast<sockaddr*>(&target), size_of(family)) == 0, "connect");
    accepted = accept(listener, nullptr, nullptr);
    check(accepted >= 0, "accept");
    size = sizeof from;
    getsockname(client, reinterpret_cast<sockaddr*>(&from), &size);
    size = sizeof to;
    getpeername(client, reinterpret_cast<sockaddr*>(&to), &size);
  }
  static socklen_t size_of(int family) {
    return family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  }
  ~Connection() {
    close(client);
    close(accepted);
    close(listener);
  }
};

SocketEnd end_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    return {reinterpret_cast<const unsigned char*>(&four.sin_addr), 4, ntohs(four.sin_port)};
  }
  const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
  return {six.sin6_addr.s6_addr, 16, ntohs(six.sin6_port)};
}

void ask(int family, bool dual) {
  Connection one(family, dual);
  const SocketEnd from = end_of(one.from);
  const SocketEnd to = end_of(one.to);
  check(owner_of_socket(from, to) == getuid(), "the owner");
  SocketEnd other = from;
  other.port = 1;
  check(owner_of_socket(other, to) == -ENOENT, "no such connection");
  // The kernel falls back to the listener of that port.
  check(owner_of_socket(to, other) == -ENOENT, "a listener is no end of a connection");
  shutdown(one.client, SHUT_RDWR);
  close(one.client);
  check(owner_of_socket(from, to) == -ENOENT, "an orphan has no owner");
  one.client = -1;
}

/** Messages as the kernel might send them, in memory of exactly their size. */
void read_cut_messages() {
  struct {
    nlmsghdr head;
    inet_diag_msg body;
  } whole = {};
  whole.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  whole.body.idiag_state = TCP_ESTABLISHED;
  whole.body.idiag_inode = 1;
  whole.body.idiag_uid = 4'294'967'294u;
  for (size_t size = NLMSG_HDRLEN; size <= sizeof whole; size++) {
    whole.head.nlmsg_len = static_cast<uint32_t>(size);
    std::vector<nlmsghdr> memory((size + sizeof(nlmsghdr) - 1) / sizeof(nlmsghdr));
    memcpy(memory.data(), &whole, size);
    const int64_t owner = owner_in(memory.data());
    check(owner == (size == sizeof whole ? 4'294'967'294 : -EPROTO), "a message that is cut");
    memory[0].nlmsg_type = NLMSG_ERROR;
    check(owner_in(memory.data()) < 0, "an error that is cut");
  }
}

void find_loopback() {
  bool is_found = false;
  const int error = interface_addresses([&](const char* name, const char* address, int prefix) {
    is_found = is_found || (strcmp(name, "lo") == 0 && strcmp(address, "127.0.0.1") == 0 && prefix == 8);
  });
  check(error == 0 && is_found, "the address of loopback");
}

}  // namespace

int main(int argc, char** argv) {
  const int connections = argc > 1 ? atoi(argv[1]) : 10;
  const int before = open_descriptors();
  for (int at = 0; at < connections; at++) {
    ask(AF_INET, false);
    ask(AF_INET6, false);
    ask(AF_INET, true);
  }
  const unsigned char four[4] = {127, 0, 0, 1};
  const unsigned char six[16] = {};
  check(owner_of_socket({four, 4, 1}, {six, 16, 1}) == -EINVAL, "two families");
  check(owner_of_socket({four, 3, 1}, {four, 3, 1}) == -EINVAL, "no address");
  read_cut_messages();
  find_loopback();
  check(open_descriptors() == before, "a descriptor is left");
  puts("ok");
  return 0;
}
