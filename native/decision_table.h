#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#include "abi.h"
#include "memory.h"

namespace viaduct {

/** What TypeScript has decided about a CONNECT. */
struct Decision {
  /** By which TypeScript knows it again. */
  uint32_t id = 0;
  sockaddr_storage target = {};
  socklen_t target_bytes = 0;
  /** The head of the response that opens the tunnel. */
  char response[64] = {};
  size_t response_bytes = 0;
};

/**
 * Decisions by all that they were made from: listener, client and the head of the request, byte by byte. So a request that
 * differs in anything is not found, and TypeScript decides about it.
 */
class DecisionTable {
 public:
  /** Of one second: a client that names more targets has most of them decided about anew. */
  static constexpr size_t kDecisionsMax = 1'024;

  DecisionTable() = default;
  ~DecisionTable() { clear(); }
  DecisionTable(const DecisionTable&) = delete;
  DecisionTable& operator=(const DecisionTable&) = delete;

  /** False: it is full, or there is no memory. A key that it has keeps its decision. */
  bool add(const char* key, size_t key_bytes, const Decision& decision);
  /** nullptr: no decision about this was added. Valid until `clear`. */
  const Decision* find(const char* key, size_t key_bytes) const;
  void clear();
  bool is_empty() const { return count_ == 0; }

 private:
  struct Entry {
    Entry* next;
    uint64_t hash;
    size_t key_bytes;
    Decision decision;
    /** As many as `key_bytes` says. */
    char key[1];
  };
  static constexpr size_t kChains = kDecisionsMax;

  Entry* chains_[kChains] = {};
  size_t count_ = 0;
};

}  // namespace viaduct
