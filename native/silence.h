#pragma once

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace viaduct {

/** A peer that still exists loses a probe now and then, but not so many in a row. */
constexpr int kProbesLost = 3;

/** Whether the peer has acknowledged nothing lately, though bytes wait for it. */
inline bool is_silent(int fd) {
  int waiting = 0;
  // For most sockets nothing waits, and this call costs less than TCP_INFO.
  if (ioctl(fd, SIOCOUTQ, &waiting) < 0 || waiting == 0) return false;
  struct tcp_info info = {};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return false;
  return info.tcpi_retransmits > 0 || info.tcpi_probes >= kProbesLost;
}

inline void bound_silence_by(int fd, unsigned after_ms) {
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &after_ms, sizeof after_ms);
}

/**
 * Has the kernel end a connection whose peer acknowledges nothing for so long (TCP_USER_TIMEOUT, RFC 5482); otherwise it
 * sends again for 15 minutes and more. To be called now and then: the bound is in force only while the peer is silent.
 * Linux (since 5.11) also counts the time in which a peer has a full window but answers every probe, so that a bound that
 * is always in force ends the connection of a reader that is paused for a minute. Takes and returns whether it is in force.
 */
inline bool bound_silence(int fd, unsigned after_ms, bool is_bound) {
  const bool is_due = is_silent(fd);
  if (is_due != is_bound) bound_silence_by(fd, is_due ? after_ms : 0);
  return is_due;
}

}  // namespace viaduct
