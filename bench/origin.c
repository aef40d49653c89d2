/*
 * The origin: four services on free loopback ports, in one process and one loop. It prints their ports as one line of
 * JSON and serves until its standard input ends, so that it does not outlive the process that started it.
 *
 *   source  "N\n" is answered with N bytes       sink  "N\n" and N bytes are answered with "k"
 *   echo    every byte comes back                http  every request head is answered with a small 200
 */
#include "net.h"

enum kind { SOURCE, SINK, ECHO, HTTP, KINDS };
static const char *const NAMES[KINDS] = {"source", "sink", "echo", "http"};

static const char ANSWER[] =
    "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\nContent-Length: 64\r\n\r\n"
    "A small answer: sixty-four bytes, no more, and no less than so.\n";
/* Heads of one read that are answered together: no load mode pipelines more. */
#define ANSWERS_MAX 16

struct peer {
  int fd;
  enum kind kind;
  int listening;
  /* Bytes still to be sent or received. */
  uint64_t left;
  /* A number that has not ended yet, and how much of CR LF CR LF has been seen. */
  uint64_t number;
  int matched;
};

static int loop, payload;
static char scratch[65536];

static void watch(struct peer *peer, uint32_t events, int how) {
  struct epoll_event event = {.events = events, .data.ptr = peer};
  if (epoll_ctl(loop, how, peer->fd, &event) < 0) die("epoll_ctl");
}

static struct peer *add(int fd, enum kind kind, int listening) {
  struct peer *peer = calloc(1, sizeof *peer);
  if (peer == NULL) die("calloc");
  *peer = (struct peer){.fd = fd, .kind = kind, .listening = listening};
  watch(peer, EPOLLIN, EPOLL_CTL_ADD);
  return peer;
}

static int listen_on_free_port(enum kind kind) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in at = loopback(0);
  socklen_t length = sizeof at;
  if (fd < 0 || bind(fd, (struct sockaddr *)&at, length) < 0 || listen(fd, 4096) < 0) die("listen");
  if (getsockname(fd, (struct sockaddr *)&at, &length) < 0) die("getsockname");
  prepare(fd);
  add(fd, kind, 1);
  return ntohs(at.sin_port);
}

static void accept_all(const struct peer *listener) {
  for (int i = 0; i < 64; i++) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    prepare(fd);
    add(fd, listener->kind, 0);
  }
}

/* Reads the digits of "N\n". Returns the number of bytes used when the line is complete, else 0. */
static ssize_t take_number(struct peer *peer, const char *bytes, ssize_t length) {
  for (ssize_t i = 0; i < length; i++) {
    if (bytes[i] == '\n') {
      peer->left = peer->number;
      peer->number = 0;
      return i + 1;
    }
    peer->number = peer->number * 10 + (uint64_t)(bytes[i] - '0');
  }
  return 0;
}

/* Each returns 0 when the connection has ended. */
static int serve_source(struct peer *peer, uint32_t events) {
  if (events & EPOLLIN) {
    ssize_t got = recv(peer->fd, scratch, sizeof scratch, 0);
    if (got == 0 || (got < 0 && !again())) return 0;
    if (got > 0 && take_number(peer, scratch, got) > 0) watch(peer, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
  }
  if ((events & EPOLLOUT) && peer->left > 0) {
    ssize_t sent = send_payload(peer->fd, payload, peer->left);
    if (sent < 0) return 0;
    peer->left -= (uint64_t)sent;
    if (peer->left == 0) watch(peer, EPOLLIN, EPOLL_CTL_MOD);
  }
  return 1;
}

static int serve_sink(struct peer *peer) {
  uint64_t counted = 0;
  if (peer->left > 0) {
    /* MSG_TRUNC: the kernel drops the bytes instead of copying them. */
    ssize_t got = recv(peer->fd, scratch, peer->left < CHUNK_BYTES ? peer->left : CHUNK_BYTES, MSG_TRUNC);
    if (got == 0 || (got < 0 && !again())) return 0;
    counted = got > 0 ? (uint64_t)got : 0;
  } else {
    ssize_t got = recv(peer->fd, scratch, sizeof scratch, 0);
    if (got == 0 || (got < 0 && !again())) return 0;
    ssize_t used = got > 0 ? take_number(peer, scratch, got) : 0;
    counted = used > 0 ? (uint64_t)(got - used) : 0;
  }
  if (counted == 0) return 1;
  peer->left -= counted;
  return peer->left > 0 || send(peer->fd, "k", 1, MSG_NOSIGNAL) == 1;
}

static int serve_echo(const struct peer *peer) {
  ssize_t got = recv(peer->fd, scratch, sizeof scratch, 0);
  if (got < 0 && again()) return 1;
  return got > 0 && send(peer->fd, scratch, (size_t)got, MSG_NOSIGNAL) == got;
}

static int serve_http(struct peer *peer) {
  static const char END[] = "\r\n\r\n";
  ssize_t got = recv(peer->fd, scratch, sizeof scratch, 0);
  if (got < 0 && again()) return 1;
  if (got <= 0) return 0;
  char answers[ANSWERS_MAX * sizeof ANSWER];
  size_t length = 0;
  for (ssize_t i = 0; i < got; i++) {
    peer->matched = scratch[i] == END[peer->matched] ? peer->matched + 1 : scratch[i] == '\r';
    if (peer->matched < 4) continue;
    peer->matched = 0;
    if (length + sizeof ANSWER > sizeof answers) return 0;
    memcpy(answers + length, ANSWER, sizeof ANSWER - 1);
    length += sizeof ANSWER - 1;
  }
  return length == 0 || send(peer->fd, answers, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static int serve(struct peer *peer, uint32_t events) {
  switch (peer->kind) {
    case SOURCE: return serve_source(peer, events);
    case SINK: return serve_sink(peer);
    case ECHO: return serve_echo(peer);
    default: return serve_http(peer);
  }
}

int origin(void) {
  struct epoll_event events[256], input = {.events = EPOLLIN, .data.ptr = NULL};
  loop = epoll_create1(EPOLL_CLOEXEC);
  payload = payload_file();
  for (int kind = 0; kind < KINDS; kind++) {
    printf("%s\"%s\":%d", kind == 0 ? "{" : ",", NAMES[kind], listen_on_free_port((enum kind)kind));
  }
  printf("}\n");
  fflush(stdout);
  if (epoll_ctl(loop, EPOLL_CTL_ADD, STDIN_FILENO, &input) < 0) die("standard input must be a pipe");
  for (;;) {
    int ready = epoll_wait(loop, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      struct peer *peer = events[i].data.ptr;
      if (peer == NULL) return 0;
      if (peer->listening) accept_all(peer);
      else if ((events[i].events & EPOLLERR) || !serve(peer, events[i].events)) {
        close(peer->fd);
        free(peer);
      }
    }
  }
}
