#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <mutex>

#include "abi.h"
#include "decision_table.h"
#include "memory.h"
#include "tunnel.h"

namespace viaduct {

class Relay;

/** No CONNECT of a real client is longer. */
constexpr size_t kRepeatedHeadBytesMax = 2'048;

/** Milliseconds of the monotonic clock, as Node's `performance.now` counts them from another beginning. */
double exact_ms();

/** A client for which the repetition did not go as before: TypeScript serves it from its first byte. */
struct HandedBack {
  int fd;
  uint32_t listener;
  sockaddr_storage peer;
  char* bytes;
  size_t size;
};

/** What a repeated tunnel has besides its sockets, until it is reported. */
struct Repetition {
  Decision decision;
  /** Which table the decision came from: that of now, or the one before. */
  uint8_t table = 0;
  /** The target is connected, and the client has its response. */
  bool is_open = false;
  uint32_t listener = 0;
  sockaddr_storage peer = {};
  double accepted_ms = 0;
  double opened_ms = 0;
  /** All that was read of the client: the head, and perhaps bytes for the tunnel. */
  PendingBytes received;
  size_t head_bytes = 0;
};

/** Where TypeScript listens, for clients of which a decision is known. */
struct RepeatingListener {
  uint32_t number;
  /** It is on all addresses, so that the one that the client has chosen is a part of what was decided about. */
  bool has_local_address;
};

/** What a decision was made about, besides the head. */
struct DecidedClient {
  uint32_t listener;
  const char* address;
  /** Empty for a listener on one address. */
  const char* local_address;
};

/**
 * Opens tunnels for CONNECTs that TypeScript has just decided about, without asking it again. The table of decisions is
 * replaced by an empty one about every second (`renew`), so none is older. Only what goes exactly as before is served here: a
 * client whose head differs, or whose target does not accept the connection, is TypeScript's.
 *
 * Functions are called on the loop's thread, but for those that say otherwise.
 */
class Repeats {
 public:
  explicit Repeats(Relay& relay) : relay_(relay) {}
  ~Repeats();
  Repeats(const Repeats&) = delete;
  Repeats& operator=(const Repeats&) = delete;

  /** 0, or an errno. */
  int start();
  /** Readable when a client was handed back. */
  int fd() const { return event_; }

  /** False: it will not be repeated. */
  bool add(const DecidedClient& client, const char* head, size_t head_bytes, const Decision& decision);
  /**
   * Forgets all decisions. How many tunnels by decisions of the table before this one are still to be reported: as long as
   * there are any, nothing is added, and it is to be called again. 0: an empty table is in use.
   */
  uint32_t renew();
  /** So many tunnels may be open or on their way that were not reported. */
  void set_credit(uint32_t tunnels) { credit_ = tunnels; }
  /** Tunnels that were not reported yet. */
  uint32_t unreported() const { return unreported_[0] + unreported_[1]; }

  /** Whether clients of this listener are worth reading from at once. */
  bool serves(uint32_t listener) const;
  /** Owns the descriptor of a client that was just accepted, if what it has sent is to be repeated. */
  bool take(uint32_t listener, int fd, const sockaddr_storage& peer, const char* bytes, size_t size);
  /** Adds the clients that were handed back; the caller owns them. */
  void take_handed_back(Vector<HandedBack>* clients);
  /** A tunnel by that table was reported. */
  void reported(uint8_t table) { unreported_[table] -= 1; }

  /** On the relay's thread. Whether decisions of that table may still be repeated. */
  bool is_current(uint8_t table) const { return is_usable_ && table == table_; }
  /** On the relay's thread. Owns the client's descriptor; it is closed when there is no memory. */
  void hand_back(int client, const Repetition& repetition);

 private:
  /** A decision is repeated for so long after the first of its table, also while the loop has no time to renew it. */
  static constexpr uint64_t kAgeMs = 1'100;

  const RepeatingListener* find(uint32_t listener) const;
  int dial(const Decision& decision);

  Relay& relay_;
  int event_ = -1;
  DecisionTable decisions_;
  Vector<RepeatingListener> listeners_;
  std::atomic<uint8_t> table_{0};
  /** False between a `renew` that had to wait and the one that succeeds. */
  std::atomic<bool> is_usable_{true};
  /** When the first decision was added. */
  uint64_t began_ms_ = 0;
  uint32_t credit_ = 0;
  std::atomic<uint32_t> unreported_[2] = {};
  std::mutex mutex_;
  Vector<HandedBack> handed_back_;
};

}  // namespace viaduct
