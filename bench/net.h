/* Shared by the load modes and the origin. All connections are on loopback, and every failure ends the program. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Bytes that one call moves at most: larger calls save no more CPU here, and would starve the other connections. */
#define CHUNK_BYTES (1 << 20)

static inline void die(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static inline double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline struct sockaddr_in loopback(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

static inline void prepare(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) die("fcntl");
}

/* Whether a call found nothing to do now, as opposed to having failed. */
static inline int again(void) { return errno == EAGAIN || errno == EINTR; }

/* A file of CHUNK_BYTES in memory, for sendfile, which sends it without a copy. */
static inline int payload_file(void) {
  int fd = memfd_create("payload", 0);
  char *bytes = malloc(CHUNK_BYTES);
  if (fd < 0 || bytes == NULL) die("payload");
  for (int i = 0; i < CHUNK_BYTES; i++) bytes[i] = (char)(i * 31 + (i >> 8));
  if (write(fd, bytes, CHUNK_BYTES) != CHUNK_BYTES) die("payload");
  free(bytes);
  return fd;
}

/* Sends up to `left` bytes of the payload; returns their number, 0 when the socket is full, -1 when it failed. */
static inline ssize_t send_payload(int fd, int payload, uint64_t left) {
  off_t from = 0;
  ssize_t sent = sendfile(fd, payload, &from, left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES);
  return sent < 0 && again() ? 0 : sent;
}

int origin(void);
