#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <mutex>

#include "abi.h"
#include "memory.h"
#include "repeats.h"
#include "tunnel.h"

namespace viaduct {

/** `slot` is the number of the tunnel. */
struct Event {
  uint32_t slot;
  RelayEvent kind;
  int32_t detail;
};

/** What became of a repeated tunnel, as `kNumbersPerReport` describes it. */
struct Report {
  TunnelReport kind;
  uint8_t table;
  uint16_t client_port;
  uint32_t decision;
  uint32_t slot;
  TunnelEnd end;
  double accepted_ms;
  double opened_ms;
  double ended_ms;
  uint64_t up;
  uint64_t down;
};

/**
 * One thread that moves the bytes of all tunnels. Every public function may be called from any other thread. A command for
 * a tunnel that is over is ignored, also when its slot has another tunnel by then: the number has another generation.
 */
class Relay {
 public:
  /** The relay's thread calls `wake` when there are events and all earlier ones have been taken. */
  Relay(void (*wake)(void*), void* context);
  /** Stops the thread and resets every tunnel. */
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  /** 0, or the errno for which there is no thread. */
  int start();
  /** Owns the tunnel from now on. One whose slot is in use is reset, and closed with an error. */
  void add(Tunnel* tunnel);
  /** `bytes` are those of a grant. */
  void send_command(uint32_t slot, RelayCommand command, uint32_t bytes = 0);
  struct News {
    /** To be read first: events of a slot follow its report. */
    Vector<Report> reports;
    Vector<Event> events;
  };
  News take_news();
  /** Reports every repeated tunnel that is open, without waiting for its end. */
  void report_open_now();
  /** Before the first repeated tunnel is added. `counters`: two numbers for each of `kRepeatedMax` slots. */
  void begin_repeats(Repeats* repeats, uint64_t* counters);

  static constexpr uint32_t index_of(uint32_t slot) { return slot & ((1u << kSlotIndexBits) - 1); }

 private:
  struct QueuedCommand {
    /** To be added; nullptr for a command. */
    Tunnel* added;
    uint32_t slot;
    RelayCommand command;
    uint32_t bytes;
  };
  /** A tunnel that is looked at again at that time. */
  struct Due {
    uint64_t due_ms;
    uint32_t slot;
  };

  /** A budget that waited for bytes when so many had passed. */
  struct Spare {
    uint64_t due_ms;
    uint32_t slot;
    Endpoint source;
    uint64_t moved;
  };

  static void* main(void* relay);
  void run();
  void wake_thread();
  void run_commands();
  /** The tunnel of that number; nullptr when it is over. */
  Tunnel* find(uint32_t slot);
  void add_now(Tunnel* tunnel);
  /** Waits until the target of a repeated tunnel is connected. */
  void dial_now(Tunnel* tunnel);
  void on_dialled(Tunnel* tunnel, uint32_t events);
  bool open_repeated(Tunnel* tunnel);
  /** Its client is served by TypeScript after all. */
  void hand_back(Tunnel* tunnel);
  void hand_back_late_dials();
  /** Those that were opened by then, on the coarse clock. */
  void report_open_tunnels(uint64_t until_ms);
  void report(const Tunnel& tunnel, TunnelReport kind);
  bool watch(Tunnel* tunnel, Endpoint source);
  Tunnel** place_of(uint32_t slot);
  void apply(const QueuedCommand& queued);
  /** Goes on with a direction whose bytes may have been waiting for a command. */
  void resume(Tunnel* tunnel, Endpoint source);
  void on_ready(uint64_t key, uint32_t events);
  /** Small amounts are moved at once, since they may be interactive; a direction with bulk data is queued. */
  void schedule(Tunnel* tunnel, Endpoint source);
  /** Moves one slice of bytes; false when the tunnel is over. */
  bool move(Tunnel* tunnel, Endpoint source);
  void run_next();
  void post(uint32_t slot, RelayEvent kind, int32_t detail);
  void post_half_closes();
  /** Looks again later whether a direction needs the budget that is left. */
  void watch_spare(Tunnel* tunnel, Endpoint source);
  void return_spares();
  void post_closed(uint32_t slot, TunnelEnd end) { post(slot, RelayEvent::closed, static_cast<int32_t>(end)); }
  bool are_reports_due() const;
  void hand_over_events();
  /** It is over: says so, and deletes it. */
  void end(Tunnel* tunnel);
  void finish(Tunnel* tunnel);
  int wait_ms();

  void push(Tunnel::Link* link);
  void remove(Tunnel::Link* link);

  void (*const wake_)(void*);
  void* const wake_context_;
  pthread_t thread_{};
  bool is_started_ = false;
  std::atomic<bool> is_stopping_{false};
  int epoll_ = -1;
  int event_ = -1;

  /** Guards what both threads use: commands and events. */
  std::mutex mutex_;
  Vector<QueuedCommand> commands_;
  Vector<Event> events_;
  Vector<Report> reports_;
  std::atomic<bool> is_woken_{false};
  std::atomic<bool> is_report_wanted_{false};

  /** From here on, only the relay's thread. */
  RelayContext context_;
  /** By index. */
  Vector<Tunnel*> tunnels_;
  Vector<Event> pending_events_;
  Vector<Report> pending_reports_;
  /** When the first of them is to be handed over. */
  uint64_t reports_due_ms_ = 0;
  Deque<Due> half_closes_;
  Deque<Spare> spares_;
  Repeats* repeats_ = nullptr;
  uint64_t* repeated_counters_ = nullptr;
  /** Repeated tunnels, by the part of the index below `kRepeatedSlot`. */
  Vector<Tunnel*> repeated_;
  Vector<uint32_t> free_repeated_;
  /** Repeated tunnels whose target may take too long, and those that will be worth a report of their own. */
  Deque<Due> dials_;
  Deque<Due> openings_;
  /** Directions that can move bytes, as a ring. */
  Tunnel::Link queue_;
  size_t queued_ = 0;
};

}  // namespace viaduct
