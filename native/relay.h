#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "tunnel.h"

namespace viaduct {

enum class Order : int32_t {
  /** End it; whoever has not got all is reset. */
  cut = 0,
  /** Reset both sides. */
  abort = 1,
  /** Stop, and give the sockets back with what has been read and not been written. */
  release = 2,
  /** Ask the kernel for probes while nothing is said, as for every connection that lasts. */
  probe = 3,
};

/** What has become of a tunnel. */
enum class News : int32_t {
  /** One side has ended, the other goes on; `detail` says who ended. */
  half = 0,
  /** Both sockets are closed; `detail` is an `End`. */
  over = 1,
  /** The sockets wait in `collect`. */
  released = 2,
};
struct Told {
  uint32_t slot;
  News news;
  int32_t detail;
};

/** One thread that moves the bytes of all tunnels. Every public function may be called from any other thread. */
class Relay {
 public:
  /** `wake` is called on the relay's thread when there are news and all older ones have been taken. */
  Relay(void (*wake)(void*), void* context);
  /** Stops the thread and closes every tunnel. */
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  /** 0, or the errno that tells why there is no relay. */
  int start();
  void add(Tunnel* tunnel);
  /** An order about a tunnel that is over is ignored: its news are on the way. */
  void give(uint32_t slot, Order order);
  std::vector<Told> take_news();
  /** A tunnel that was released, and the caller's from now on; its descriptors come with it. */
  struct Released {
    Tunnel* tunnel;
    int client;
    int upstream;
  };
  Released collect(uint32_t slot);

 private:
  struct Command {
    Tunnel* added;
    uint32_t slot;
    Order order;
  };
  struct Half {
    uint64_t due_ms;
    uint32_t slot;
    uint32_t serial;
  };

  static void* main(void* relay);
  void run();
  void wake_thread();
  void run_commands();
  void begin(Tunnel* tunnel);
  void obey(uint32_t slot, Order order);
  void hand_back(Tunnel* tunnel);
  void noted(uint64_t key, uint32_t events);
  /** Small amounts at once, since somebody may be typing; large ones when their turn has come. */
  void attend(Tunnel* tunnel, Who who);
  /** Moves one turn of bytes; false when the tunnel is over. */
  bool move(Tunnel* tunnel, Who who);
  void run_next();
  void tell(uint32_t slot, News news, int32_t detail);
  void tell_halves();
  void finish(Tunnel* tunnel);
  int wait_ms();

  void push(Tunnel::Link* link);
  void remove(Tunnel::Link* link);

  void (*const wake_)(void*);
  void* const context_;
  pthread_t thread_{};
  bool is_started_ = false;
  std::atomic<bool> is_stopping_{false};
  int epoll_ = -1;
  int event_ = -1;

  std::mutex mutex_;
  std::vector<Command> commands_;
  std::vector<Told> news_;
  std::unordered_map<uint32_t, Released> released_;
  std::atomic<bool> is_woken_{false};

  /** Of the thread alone. */
  Tools tools_;
  std::vector<Tunnel*> tunnels_;
  std::vector<Told> untold_;
  std::deque<Half> halves_;
  uint32_t serials_ = 0;
  /** Directions that can move bytes, as a ring. */
  Tunnel::Link queue_;
  size_t queued_ = 0;
};

}  // namespace viaduct
