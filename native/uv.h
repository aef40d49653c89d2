#pragma once

#include <dlfcn.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace viaduct {

/**
 * A descriptor in the loop that Node itself waits in, by libuv's functions, which Node exports. Its headers are not those
 * of N-API, and its structures are made by size here: both have been the same through all of libuv 1. Where a function is
 * missing, or the type is not what we know, `start` says so, and the sockets stay Node's.
 */
class LoopPoll {
 public:
  using Ready = void (*)(void* context);
  using Closed = void (*)(void* context);

  /** Calls `ready` on the loop's thread whenever `fd` is readable. False: this libuv is none that we know. */
  bool start(void* loop, int fd, Ready ready, void* context) {
    constexpr int kPollType = 8;
    constexpr int kReadable = 1;
    const auto type_name = find<const char* (*)(int)>("uv_handle_type_name");
    const auto size = find<size_t (*)(int)>("uv_handle_size");
    const auto init = find<int (*)(void*, void*, int)>("uv_poll_init");
    const auto watch = find<int (*)(void*, int, void (*)(void*, int, int))>("uv_poll_start");
    set_data_ = find<void (*)(void*, void*)>("uv_handle_set_data");
    get_data_ = find<void* (*)(const void*)>("uv_handle_get_data");
    ref_ = find<void (*)(void*)>("uv_ref");
    unref_ = find<void (*)(void*)>("uv_unref");
    close_ = find<void (*)(void*, void (*)(void*))>("uv_close");
    if (!type_name || !size || !init || !watch || !set_data_ || !get_data_ || !ref_ || !unref_ || !close_) return false;
    const char* name = type_name(kPollType);
    if (name == nullptr || strcmp(name, "poll") != 0) return false;
    handle_ = calloc(1, size(kPollType));
    if (handle_ == nullptr) return false;
    if (init(loop, handle_, fd) != 0) {
      free(handle_);
      handle_ = nullptr;
      return false;
    }
    ready_ = ready;
    context_ = context;
    set_data_(handle_, this);
    unref_(handle_);
    if (watch(handle_, kReadable, on_ready) == 0) return true;
    close_(handle_, [](void* handle) { free(handle); });
    handle_ = nullptr;
    return false;
  }

  /** Whether it keeps the loop alive. */
  void hold(bool is_held) {
    if (is_held == is_held_) return;
    is_held_ = is_held;
    (is_held ? ref_ : unref_)(handle_);
  }

  /** Ends it; `closed` is called when the loop has let go of the descriptor. */
  void stop(Closed closed, void* context) {
    closed_ = closed;
    context_ = context;
    close_(handle_, on_closed);
  }

  bool is_started() const { return handle_ != nullptr; }

 private:
  template <typename Function>
  static Function find(const char* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
  }
  static void on_ready(void* handle, int, int) {
    LoopPoll* poll = static_cast<LoopPoll*>(get_data_(handle));
    poll->ready_(poll->context_);
  }
  static void on_closed(void* handle) {
    LoopPoll* poll = static_cast<LoopPoll*>(get_data_(handle));
    poll->handle_ = nullptr;
    free(handle);
    poll->closed_(poll->context_);
  }

  static inline void (*set_data_)(void*, void*) = nullptr;
  static inline void* (*get_data_)(const void*) = nullptr;
  void (*ref_)(void*) = nullptr;
  void (*unref_)(void*) = nullptr;
  void (*close_)(void*, void (*)(void*)) = nullptr;
  void* handle_ = nullptr;
  void* context_ = nullptr;
  Ready ready_ = nullptr;
  Closed closed_ = nullptr;
  bool is_held_ = false;
};

}  // namespace viaduct
