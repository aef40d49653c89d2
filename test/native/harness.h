#pragma once

#include <errno.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>

/** What the programs that drive the addon without Node have in common. */

inline void fail(const char* what) {
  fprintf(stderr, "failed: %s (errno %d)\n", what, errno);
  _exit(1);
}

inline void check(bool is_true, const char* what) {
  if (!is_true) fail(what);
}

/** The same numbers for the same seed. */
struct Random {
  uint32_t state;
  uint32_t below(uint32_t bound) {
    state = state * 1'664'525 + 1'013'904'223;
    return static_cast<uint32_t>((static_cast<uint64_t>(state) * bound) >> 32);
  }
};
