#pragma once

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>

namespace viaduct {

/** The text of an address, IPv4 inside IPv6 as IPv4, and its port; an empty text for one that is no IP address. */
inline uint16_t write_address(const sockaddr_storage& address, char (&text)[INET6_ADDRSTRLEN]) {
  text[0] = '\0';
  if (address.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
    return ntohs(four.sin_port);
  }
  if (address.ss_family != AF_INET6) return 0;
  const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
  if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) inet_ntop(AF_INET, &six.sin6_addr.s6_addr[12], text, sizeof text);
  else inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
  return ntohs(six.sin6_port);
}

/** Length of the address, 0 when the text is not an address. An IPv6 address may name its interface: `fe80::1%eth0`. */
inline socklen_t socket_address_of(const char* text, uint16_t port, sockaddr_storage* address) {
  memset(address, 0, sizeof *address);
  auto* four = reinterpret_cast<sockaddr_in*>(address);
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    return sizeof *four;
  }
  auto* six = reinterpret_cast<sockaddr_in6*>(address);
  const char* zone = strchr(text, '%');
  char bare[INET6_ADDRSTRLEN];
  const size_t length = zone == nullptr ? strlen(text) : static_cast<size_t>(zone - text);
  if (length >= sizeof bare) return 0;
  memcpy(bare, text, length);
  bare[length] = '\0';
  if (zone != nullptr) six->sin6_scope_id = if_nametoindex(zone + 1);
  if (inet_pton(AF_INET6, bare, &six->sin6_addr) != 1) return 0;
  six->sin6_family = AF_INET6;
  six->sin6_port = htons(port);
  return sizeof *six;
}

}  // namespace viaduct
