#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

namespace viaduct {

/**
 * What happens without memory. The addon is compiled without exceptions, since none may pass through N-API. So nothing in
 * it calls the `operator new` that throws (test/native/memory.test.ts looks for it in the compiled files):
 *
 * - What one connection needs (a tunnel, bytes that wait to be written, a pipe) comes from `malloc` or
 *   `new (std::nothrow)`. Without it, the caller gets ENOMEM and the relay in TypeScript takes the tunnel, or that one
 *   tunnel ends with resets, or its bytes are copied instead of spliced.
 * - What a thread needs to begin at all is tried once: `start` throws in JavaScript, and Node's sockets do the work.
 * - The tables of all connections, below, have a few bytes for each. One that cannot grow would lose a connection, or the
 *   end of one, without a trace; so it ends the process with a message, as V8 does in that state.
 */
[[noreturn]] inline void end_without_memory(size_t bytes) {
  fprintf(stderr, "viaduct: out of memory: %zu bytes for a table of the native addon\n", bytes);
  abort();
}

template <typename Value>
struct TableAllocator {
  using value_type = Value;
  TableAllocator() = default;
  template <typename Other>
  TableAllocator(const TableAllocator<Other>&) {}
  Value* allocate(size_t count) {
    void* bytes = count > SIZE_MAX / sizeof(Value) ? nullptr : malloc(count * sizeof(Value));
    if (bytes == nullptr) end_without_memory(count * sizeof(Value));
    return static_cast<Value*>(bytes);
  }
  void deallocate(Value* bytes, size_t) { free(bytes); }
  template <typename Other>
  bool operator==(const TableAllocator<Other>&) const {
    return true;
  }
  template <typename Other>
  bool operator!=(const TableAllocator<Other>&) const {
    return false;
  }
};

template <typename Value>
using Vector = std::vector<Value, TableAllocator<Value>>;
template <typename Value>
using Deque = std::deque<Value, TableAllocator<Value>>;

}  // namespace viaduct
