/*
 * Load for a proxy on loopback, cheap enough that the proxy is what is measured. Every mode prints one line of JSON.
 *
 *   load origin                                          see origin.c
 *   load down   PROXY SOURCE TUNNELS BYTES               each tunnel downloads BYTES
 *   load up     PROXY SINK TUNNELS BYTES                 each tunnel uploads BYTES
 *   load setup  PROXY ECHO COUNT AT_ONCE                 connect, CONNECT, one byte each way, close
 *   load plain  PROXY HTTP COUNT CONNECTIONS             small GETs, on connections kept as long as the proxy keeps them
 *   load idle   PROXY ECHO COUNT AT_ONCE                 opens COUNT tunnels, prints, holds them until its input ends
 *   load echo   PROXY ECHO TUNNELS ROUND_TRIPS SECONDS   64 bytes there and back, all tunnels at once
 *
 * PROXY, SOURCE, … are ports. A mode that takes longer than LOAD_SECONDS_MAX (default 120) is ended by SIGALRM.
 */
#include "net.h"

#define TUNNELS_MAX 16384
#define ECHO_BYTES 64
/* Samples kept for the percentiles: 8 bytes each. */
#define SAMPLES_MAX 1000000
/* A proxy that fails this often is not measured. */
#define FAILURES_MAX 10

enum state { AWAIT_REPLY, OPEN, AWAIT_BYTE };

struct conn {
  int fd;
  enum state state;
  uint64_t left;
  double sent_at;
  /* Responses on this connection. */
  uint64_t served;
  size_t have;
  char bytes[2048];
};

static int loop, proxy_port, target_port;
static uint64_t failures;
static char scratch[65536];
static struct conn *conns;

static void watch(struct conn *conn, uint32_t events, int how) {
  struct epoll_event event = {.events = events, .data.ptr = conn};
  if (epoll_ctl(loop, how, conn->fd, &event) < 0) die("epoll_ctl");
}

static void say(const struct conn *conn, const char *bytes, size_t length) {
  if (send(conn->fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length) failures++;
}

static void failed(const char *what) {
  if (++failures > FAILURES_MAX) {
    fprintf(stderr, "load: the proxy fails: %s\n", what);
    exit(1);
  }
}

/* On loopback the kernel accepts at once, so connect may block. */
static void dial(struct conn *conn) {
  struct sockaddr_in at = loopback(proxy_port);
  conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&at, sizeof at) < 0) die("connect to the proxy");
  prepare(conn->fd);
  conn->have = 0;
  conn->served = 0;
  conn->state = AWAIT_REPLY;
  watch(conn, EPOLLIN, EPOLL_CTL_ADD);
}

/*
 * LOAD_SPEAKS: "socks5"; "proxy-header" in front of a CONNECT; "relay", a PROXY header alone that names the target, which a
 * relay without HTTP follows without an answer; otherwise CONNECT alone.
 */
static int speaks(const char *what) {
  const char *chosen = getenv("LOAD_SPEAKS");
  return chosen != NULL && strcmp(chosen, what) == 0;
}

/* Greeting and request of SOCKS5 together; both replies are 12 bytes. */
static void dial_socks5(struct conn *conn) {
  const unsigned char request[] = {5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, (unsigned char)(target_port >> 8), (unsigned char)target_port};
  dial(conn);
  say(conn, (const char *)request, sizeof request);
}

/* What comes back first is payload: the tunnel counts as open at once. */
static void dial_relay(struct conn *conn) {
  char header[64];
  int length = snprintf(header, sizeof header, "PROXY TCP4 127.0.0.1 127.0.0.1 56324 %d\r\n", target_port);
  dial(conn);
  say(conn, header, (size_t)length);
  conn->state = OPEN;
}

static void dial_tunnel(struct conn *conn) {
  if (speaks("relay")) {
    dial_relay(conn);
    return;
  }
  if (speaks("socks5")) {
    dial_socks5(conn);
    return;
  }
  char head[512];
  const char *field = getenv("LOAD_FIELD");
  int length = snprintf(head, sizeof head, "%sCONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s\r\n",
                        speaks("proxy-header") ? "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n" : "",
                        target_port, target_port, field == NULL ? "" : field, field == NULL ? "" : "\r\n");
  if (length >= (int)sizeof head) die("LOAD_FIELD is too long");
  dial(conn);
  say(conn, head, (size_t)length);
}

/* Reads more of a head. Returns its length once it is complete, 0 before, -1 when the connection has ended. */
static ssize_t read_head(struct conn *conn) {
  ssize_t got = recv(conn->fd, conn->bytes + conn->have, sizeof conn->bytes - conn->have - 1, 0);
  if (got < 0 && again()) return 0;
  if (got <= 0) return -1;
  conn->have += (size_t)got;
  conn->bytes[conn->have] = 0;
  if (speaks("socks5")) return conn->have < 12 ? 0 : 12;
  const char *end = strstr(conn->bytes, "\r\n\r\n");
  return end == NULL ? 0 : end + 4 - conn->bytes;
}

static int is_200(const struct conn *conn) {
  if (speaks("socks5")) return conn->bytes[3] == 0;
  return strncmp(conn->bytes, "HTTP/1.", 7) == 0 && strncmp(conn->bytes + 8, " 200", 4) == 0;
}

/* Whether the response to CONNECT has just become complete. */
static int became_open(struct conn *conn) {
  ssize_t head = read_head(conn);
  if (head == 0) return 0;
  if (head < 0 || !is_200(conn)) {
    failed(head < 0 ? "closed before the answer to CONNECT" : conn->bytes);
    close(conn->fd);
    dial_tunnel(conn);
    return 0;
  }
  conn->state = OPEN;
  return 1;
}

static void new_loop(uint64_t count) {
  if (count < 1 || count > TUNNELS_MAX) die("the number of connections");
  loop = epoll_create1(EPOLL_CLOEXEC);
  conns = calloc(count, sizeof *conns);
  if (loop < 0 || conns == NULL) die("start");
}

static int wait_events(struct epoll_event *events) { return epoll_wait(loop, events, 256, -1); }

/* All tunnels are open before the first byte of payload moves. */
static void open_tunnels(uint64_t count) {
  struct epoll_event events[256];
  uint64_t open = 0;
  new_loop(count);
  for (uint64_t i = 0; i < count; i++) {
    dial_tunnel(&conns[i]);
    open += (uint64_t)(conns[i].state == OPEN);
  }
  while (open < count) {
    int ready = wait_events(events);
    for (int i = 0; i < ready; i++) open += (uint64_t)became_open(events[i].data.ptr);
  }
}

static void down(uint64_t count, uint64_t bytes) {
  struct epoll_event events[256];
  char ask[32];
  int length = snprintf(ask, sizeof ask, "%llu\n", (unsigned long long)bytes);
  open_tunnels(count);
  double started = now_s();
  for (uint64_t i = 0; i < count; i++) {
    conns[i].left = bytes;
    say(&conns[i], ask, (size_t)length);
  }
  for (uint64_t open = count; open > 0;) {
    int ready = wait_events(events);
    for (int i = 0; i < ready; i++) {
      struct conn *conn = events[i].data.ptr;
      ssize_t got = recv(conn->fd, scratch, CHUNK_BYTES, MSG_TRUNC);
      if (got < 0 && again()) continue;
      if (got <= 0) die("a download broke off");
      conn->left -= (uint64_t)got;
      if (conn->left > 0) continue;
      close(conn->fd);
      open--;
    }
  }
  printf("{\"bytes\":%llu,\"seconds\":%.6f}\n", (unsigned long long)(count * bytes), now_s() - started);
}

static void up(uint64_t count, uint64_t bytes) {
  struct epoll_event events[256];
  char ask[32];
  int length = snprintf(ask, sizeof ask, "%llu\n", (unsigned long long)bytes), payload = payload_file();
  open_tunnels(count);
  double started = now_s();
  for (uint64_t i = 0; i < count; i++) {
    conns[i].left = bytes;
    say(&conns[i], ask, (size_t)length);
    watch(&conns[i], EPOLLOUT, EPOLL_CTL_MOD);
  }
  for (uint64_t open = count; open > 0;) {
    int ready = wait_events(events);
    for (int i = 0; i < ready; i++) {
      struct conn *conn = events[i].data.ptr;
      if (conn->left > 0) {
        ssize_t sent = send_payload(conn->fd, payload, conn->left);
        if (sent < 0) die("an upload broke off");
        conn->left -= (uint64_t)sent;
        if (conn->left == 0) watch(conn, EPOLLIN, EPOLL_CTL_MOD);
        continue;
      }
      if (recv(conn->fd, scratch, 1, 0) != 1 || scratch[0] != 'k') die("an upload was not acknowledged");
      close(conn->fd);
      open--;
    }
  }
  printf("{\"bytes\":%llu,\"seconds\":%.6f}\n", (unsigned long long)(count * bytes), now_s() - started);
}

static void ask_byte(struct conn *conn) {
  say(conn, "x", 1);
  conn->state = AWAIT_BYTE;
}

static void dial_and_ask(struct conn *conn) {
  dial_tunnel(conn);
  if (conn->state == OPEN) ask_byte(conn);
}

/* Opens tunnels until `count` have echoed a byte; closes each then, or keeps it in a slot of its own. */
static void tunnels(uint64_t count, uint64_t at_once, int keep) {
  struct epoll_event events[256];
  uint64_t begun = 0, done = 0;
  if (at_once > count) at_once = count;
  new_loop(keep ? count : at_once);
  double started = now_s();
  while (begun < at_once) dial_and_ask(&conns[begun++]);
  while (done < count) {
    int ready = wait_events(events);
    for (int i = 0; i < ready; i++) {
      struct conn *conn = events[i].data.ptr;
      if (conn->state == AWAIT_REPLY) {
        if (became_open(conn)) ask_byte(conn);
        continue;
      }
      ssize_t got = conn->state == AWAIT_BYTE ? recv(conn->fd, scratch, 1, 0) : 0;
      if (got < 0 && again()) continue;
      if (got != 1) {
        failed("closed before the echo");
        close(conn->fd);
        dial_and_ask(conn);
        continue;
      }
      conn->state = OPEN;
      done++;
      if (!keep) close(conn->fd);
      if (begun < count) dial_and_ask(keep ? &conns[begun] : conn), begun++;
    }
  }
  printf("{\"count\":%llu,\"seconds\":%.6f,\"failures\":%llu}\n", (unsigned long long)count, now_s() - started,
         (unsigned long long)failures);
  fflush(stdout);
  while (keep && read(STDIN_FILENO, scratch, sizeof scratch) > 0) continue;
}

/* Bytes of a response, head included, once its head is complete; else 0. `keeps`: whether the connection stays open. */
static size_t answer_length(struct conn *conn, int *keeps) {
  const char *end = strstr(conn->bytes, "\r\n\r\n"), *length = strcasestr(conn->bytes, "\r\nContent-Length:");
  if (end == NULL) return 0;
  if (length == NULL || length > end) die("an answer without Content-Length");
  const char *close_field = strcasestr(conn->bytes, "\r\nConnection: close");
  int keep_field = strcasestr(conn->bytes, "\r\nConnection: keep-alive") != NULL;
  *keeps = close_field == NULL && (conn->bytes[7] == '1' || keep_field);
  return (size_t)(end + 4 - conn->bytes) + strtoul(length + 17, NULL, 10);
}

static void plain(uint64_t count, uint64_t connections) {
  struct epoll_event events[256];
  char ask[256];
  int length = snprintf(ask, sizeof ask,
                        "GET http://127.0.0.1:%d/small HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: load\r\n"
                        "Accept: */*\r\n\r\n", target_port, target_port);
  uint64_t begun = 0, done = 0, redialled = 0;
  if (connections > count) connections = count;
  new_loop(connections);
  double started = now_s();
  for (; begun < connections; begun++) {
    dial(&conns[begun]);
    say(&conns[begun], ask, (size_t)length);
  }
  while (done < count) {
    int ready = wait_events(events);
    for (int i = 0; i < ready; i++) {
      struct conn *conn = events[i].data.ptr;
      int keeps = 1;
      ssize_t head = read_head(conn);
      size_t whole = head > 0 ? answer_length(conn, &keeps) : 0;
      if (head == 0 || (head > 0 && conn->have < whole)) continue;
      int fine = head > 0 && is_200(conn) && conn->have == whole;
      /* Some close without Connection: close; like any client, this one then sends the request again. */
      if (!fine && (head > 0 || conn->have > 0 || conn->served == 0)) failed(head < 0 ? "closed before the answer" : conn->bytes);
      done += (uint64_t)fine;
      conn->served += (uint64_t)fine;
      conn->have = 0;
      if (fine && begun >= count) continue;
      if (!fine || !keeps) {
        close(conn->fd);
        dial(conn);
        redialled++;
      }
      say(conn, ask, (size_t)length);
      begun += (uint64_t)fine;
    }
  }
  printf("{\"count\":%llu,\"seconds\":%.6f,\"failures\":%llu,\"redialled\":%llu}\n", (unsigned long long)count,
         now_s() - started, (unsigned long long)failures, (unsigned long long)redialled);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void echo(uint64_t count, uint64_t round_trips, uint64_t seconds) {
  struct epoll_event events[256];
  static const char ping[ECHO_BYTES];
  uint64_t got_all = 0;
  if (round_trips < 1 || round_trips > SAMPLES_MAX) die("the number of round trips");
  double *samples = malloc(round_trips * sizeof *samples);
  if (samples == NULL) die("malloc");
  open_tunnels(count);
  double until = now_s() + (double)seconds;
  for (uint64_t i = 0; i < count; i++) {
    conns[i].left = ECHO_BYTES;
    conns[i].sent_at = now_s();
    say(&conns[i], ping, ECHO_BYTES);
  }
  while (got_all < round_trips && now_s() < until) {
    int ready = epoll_wait(loop, events, 256, 1000);
    for (int i = 0; i < ready && got_all < round_trips; i++) {
      struct conn *conn = events[i].data.ptr;
      ssize_t got = recv(conn->fd, scratch, conn->left, 0);
      if (got < 0 && again()) continue;
      if (got <= 0) die("an echo broke off");
      conn->left -= (uint64_t)got;
      if (conn->left > 0) continue;
      double now = now_s();
      samples[got_all++] = now - conn->sent_at;
      conn->left = ECHO_BYTES;
      conn->sent_at = now;
      say(conn, ping, ECHO_BYTES);
    }
  }
  if (got_all == 0) die("no echo came back");
  qsort(samples, got_all, sizeof *samples, ascending);
  printf("{\"count\":%llu,\"medianMs\":%.6f,\"p99Ms\":%.6f}\n", (unsigned long long)got_all,
         samples[got_all / 2] * 1e3, samples[got_all * 99 / 100] * 1e3);
}

int main(int argc, char **argv) {
  /* sendfile has no MSG_NOSIGNAL, and a download may be aborted. */
  signal(SIGPIPE, SIG_IGN);
  const char *limit = getenv("LOAD_SECONDS_MAX"), *mode = argc > 1 ? argv[1] : "";
  if (strcmp(mode, "origin") == 0) return origin();
  alarm(limit == NULL ? 120 : (unsigned)atoi(limit));
  if (argc < 6) {
    fprintf(stderr, "usage: load MODE PROXY TARGET NUMBER NUMBER [NUMBER], or load origin; see load.c\n");
    return 2;
  }
  proxy_port = atoi(argv[2]);
  target_port = atoi(argv[3]);
  uint64_t first = strtoull(argv[4], NULL, 10), second = strtoull(argv[5], NULL, 10);
  if (strcmp(mode, "down") == 0) down(first, second);
  else if (strcmp(mode, "up") == 0) up(first, second);
  else if (strcmp(mode, "setup") == 0) tunnels(first, second, 0);
  else if (strcmp(mode, "idle") == 0) tunnels(first, second, 1);
  else if (strcmp(mode, "plain") == 0) plain(first, second);
  else if (strcmp(mode, "echo") == 0) echo(first, second, argc > 6 ? strtoull(argv[6], NULL, 10) : 10);
  else return fprintf(stderr, "load: there is no mode %s\n", mode), 2;
  return 0;
}
