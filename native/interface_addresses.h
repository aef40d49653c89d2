#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>

namespace viaduct {

/** How many bits of a mask of `size` bytes are set. */
inline int prefix_of(const unsigned char* mask, size_t size) {
  int bits = 0;
  for (size_t at = 0; at < size; at++) bits += __builtin_popcount(mask[at]);
  return bits;
}

/**
 * Calls `take(name of the interface, address, length of the prefix)` for each IP address of this machine, also for those of interfaces
 * without a carrier, which Node leaves out. 0, or an errno.
 */
template <typename Take>
int interface_addresses(Take take) {
  struct ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return errno;
  for (const struct ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_netmask == nullptr) continue;
    const int family = one->ifa_addr->sa_family;
    const auto bytes_of = [family](const struct sockaddr* address) {
      return family == AF_INET
                 ? reinterpret_cast<const unsigned char*>(&reinterpret_cast<const struct sockaddr_in*>(address)->sin_addr)
                 : reinterpret_cast<const struct sockaddr_in6*>(address)->sin6_addr.s6_addr;
    };
    char text[INET6_ADDRSTRLEN];
    if (family != AF_INET && family != AF_INET6) continue;
    if (inet_ntop(family, bytes_of(one->ifa_addr), text, sizeof text) == nullptr) continue;
    take(one->ifa_name, text, prefix_of(bytes_of(one->ifa_netmask), family == AF_INET ? 4 : 16));
  }
  freeifaddrs(first);
  return 0;
}

}  // namespace viaduct
