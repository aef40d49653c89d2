#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace viaduct {

/** Probes begin after so many seconds of silence; a peer that does not answer ten of them has vanished. As in Node. */
constexpr int kProbeAfterS = 60;
constexpr int kProbeIntervalS = 1;
constexpr int kProbes = 10;

inline void keep_alive_on(int fd, int after_s) {
  const int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) < 0) return;
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &after_s, sizeof after_s);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &kProbeIntervalS, sizeof kProbeIntervalS);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &kProbes, sizeof kProbes);
}

}  // namespace viaduct
