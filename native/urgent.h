#pragma once

#include <sys/socket.h>

namespace viaduct {

/**
 * Leaves urgent bytes (RFC 9293 §3.8.5) at their place in the stream. Without this the kernel takes them out, and the
 * other end gets less than was sent, with no error to show it. An accepted socket inherits it from its listener.
 */
inline void keep_urgent_inline(int fd) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
}

}  // namespace viaduct
