#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/** What a service manager expects of a program, and Node has no function for. */
namespace viaduct {

/** A descriptor that was inherited must not reach the programs that this one starts. 0, or an errno. */
inline int close_on_exec(int fd) {
  const int flags = fcntl(fd, F_GETFD);
  if (flags < 0) return errno;
  return fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0 ? errno : 0;
}

/**
 * Sends `text` to the datagram socket at `path`, as sd_notify(3) does; `@` begins an abstract name. 0, or an errno. It never
 * waits: a manager that reads nothing must not stop the loop.
 */
inline int notify(const char* path, size_t path_size, const char* text, size_t text_size) {
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path_size == 0 || path_size >= sizeof address.sun_path) return EINVAL;
  memcpy(address.sun_path, path, path_size);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  const socklen_t size = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + path_size);
  const ssize_t sent =
      sendto(fd, text, text_size, MSG_NOSIGNAL, reinterpret_cast<const struct sockaddr*>(&address), size);
  const int failed = sent < 0 ? errno : 0;
  close(fd);
  return failed;
}

}  // namespace viaduct
