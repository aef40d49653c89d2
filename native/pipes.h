#pragma once

#include <cstddef>

#include "memory.h"

namespace viaduct {

/** A pipe through which bytes pass from one socket to another without being copied. */
struct Pipe {
  int read_end;
  int write_end;
  /** Capacity. */
  size_t bytes;
};

/** Pipes for the directions that have bytes to move: a silent tunnel holds none. */
class Pipes {
 public:
  Pipes() = default;
  Pipes(const Pipes&) = delete;
  Pipes& operator=(const Pipes&) = delete;
  ~Pipes();

  /** An empty pipe, or nullptr: enough are in use, or the process has few descriptors or no memory left. */
  Pipe* take();
  /** Takes back an empty pipe. */
  void give_back(Pipe* pipe);
  /** Closes a pipe that may not be empty. */
  void discard(Pipe* pipe);
  /** Whether the next `take` may return nullptr. */
  bool is_short() const { return spare_.empty() && open_ >= kOpenMax; }

  /** Capacity of one pipe: the most that Linux allows to a user without privileges. */
  static constexpr size_t kBytes = 1'048'576;
  /** Such a user may have 64 MiB of pipes in all; each has two descriptors. Directions without a pipe copy. */
  static constexpr size_t kOpenMax = 48;
  /** So many descriptors are left for new clients, and connections for them, which cannot do without. */
  static constexpr size_t kFilesLeft = 32;
  /** Kept open while no direction needs them. */
  static constexpr size_t kSpareMax = 16;

 private:
  bool takes_the_last(int fd) const;

  Vector<Pipe*> spare_;
  size_t open_ = 0;
};

}  // namespace viaduct
