#pragma once

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace viaduct {

/** One end of a TCP connection: an address of IPv4 (4 bytes) or IPv6 (16 bytes), in network order. */
struct SocketEnd {
  const unsigned char* address;
  size_t size;
  uint16_t port;
};

constexpr size_t kFourBytes = 4;
constexpr size_t kSixBytes = 16;
/** The same number in each network namespace: LOOPBACK_IFINDEX of the kernel. */
constexpr uint32_t kLoopbackInterface = 1;

/**
 * The user in one message of the kernel, or a negative errno. An orphan (closed by its program, or in TIME_WAIT) has no inode, and
 * the kernel calls it one of root. A listener is what the kernel finds where there is no such connection.
 */
inline int64_t owner_in(const struct nlmsghdr* message) {
  if (message->nlmsg_type == NLMSG_ERROR) {
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr))) return -EPROTO;
    struct nlmsgerr error;
    memcpy(&error, reinterpret_cast<const char*>(message) + NLMSG_HDRLEN, sizeof error);
    return error.error < 0 ? error.error : -EPROTO;
  }
  if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY) return -EPROTO;
  if (message->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg))) return -EPROTO;
  struct inet_diag_msg found;
  memcpy(&found, reinterpret_cast<const char*>(message) + NLMSG_HDRLEN, sizeof found);
  if (found.idiag_inode == 0 || found.idiag_state == TCP_LISTEN) return -ENOENT;
  return found.idiag_uid;
}

/**
 * The user whose socket is the `from` end of a connection over loopback to `to`, or a negative errno: sock_diag(7) finds that one
 * socket in the hash table of the kernel, without the table as text (/proc/net/tcp). It does not wait: the kernel has answered when
 * `send` returns.
 */
inline int64_t owner_of_socket(const SocketEnd& from, const SocketEnd& to) {
  if (from.size != to.size || (from.size != kFourBytes && from.size != kSixBytes)) return -EINVAL;
  struct {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
  } request = {};
  request.head.nlmsg_len = sizeof request;
  request.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.head.nlmsg_flags = NLM_F_REQUEST;
  request.body.sdiag_family = from.size == kFourBytes ? AF_INET : AF_INET6;
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = ~0u;
  struct inet_diag_sockid& id = request.body.id;
  memcpy(id.idiag_src, from.address, from.size);
  memcpy(id.idiag_dst, to.address, to.size);
  id.idiag_sport = htons(from.port);
  id.idiag_dport = htons(to.port);
  // Only this interface leads to loopback, and sockets that are bound to an interface are found by it alone.
  id.idiag_if = kLoopbackInterface;
  id.idiag_cookie[0] = id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;

  const int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) return -errno;
  struct sockaddr_nl kernel = {};
  kernel.nl_family = AF_NETLINK;
  const ssize_t sent =
      sendto(fd, &request, sizeof request, 0, reinterpret_cast<const struct sockaddr*>(&kernel), sizeof kernel);
  int64_t owner = sent < 0 ? -errno : -EPROTO;
  if (sent >= 0) {
    // One message with a few attributes behind it, of which none is read.
    alignas(struct nlmsghdr) char answer[4'096];
    struct sockaddr_nl sender = {};
    socklen_t size = sizeof sender;
    const ssize_t got = recvfrom(fd, answer, sizeof answer, MSG_DONTWAIT, reinterpret_cast<struct sockaddr*>(&sender), &size);
    const struct nlmsghdr* message = reinterpret_cast<const struct nlmsghdr*>(answer);
    if (got < 0) owner = -errno;
    else if (sender.nl_pid == 0 && NLMSG_OK(message, static_cast<size_t>(got))) owner = owner_in(message);
  }
  close(fd);
  return owner;
}

}  // namespace viaduct
