#pragma once

#include <cstddef>
#include <vector>

namespace viaduct {

/** A pipe through which bytes pass from one socket to another without being copied. */
struct Pipe {
  int read_end;
  int write_end;
  /** What the kernel lets it hold at most. */
  size_t bytes;
};

/** Pipes are lent to directions that have bytes to move, so that a silent tunnel holds none. */
class Pipes {
 public:
  Pipes() = default;
  Pipes(const Pipes&) = delete;
  Pipes& operator=(const Pipes&) = delete;
  ~Pipes();

  /** An empty pipe, or nullptr when there are enough or the process has no descriptor left. */
  Pipe* take();
  /** Takes back an empty one. */
  void give_back(Pipe* pipe);
  /** Closes one that may not be empty. */
  void discard(Pipe* pipe);
  /** Whether the next `take` may get none. */
  bool is_short() const { return spare_.empty() && open_ >= kOpenMax; }

  /** Of one pipe: the most that Linux gives to a user without privileges. */
  static constexpr size_t kBytes = 1'048'576;
  /** Of those, such a user may have 64 MiB in all; each takes two descriptors. Directions that get none copy. */
  static constexpr size_t kOpenMax = 48;
  /** Kept open while nobody needs them. */
  static constexpr size_t kSpareMax = 16;

 private:
  std::vector<Pipe*> spare_;
  size_t open_ = 0;
};

}  // namespace viaduct
