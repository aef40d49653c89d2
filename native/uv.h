#pragma once

#include <dlfcn.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace viaduct {

/** The functions of libuv that Node exports. Looked up once in the process, whichever thread needs them first. */
struct Libuv {
  const char* (*type_name)(int) = find<const char* (*)(int)>("uv_handle_type_name");
  size_t (*size)(int) = find<size_t (*)(int)>("uv_handle_size");
  int (*poll_init)(void*, void*, int) = find<int (*)(void*, void*, int)>("uv_poll_init");
  int (*poll_start)(void*, int, void (*)(void*, int, int)) =
      find<int (*)(void*, int, void (*)(void*, int, int))>("uv_poll_start");
  void (*set_data)(void*, void*) = find<void (*)(void*, void*)>("uv_handle_set_data");
  void* (*get_data)(const void*) = find<void* (*)(const void*)>("uv_handle_get_data");
  void (*ref)(void*) = find<void (*)(void*)>("uv_ref");
  void (*unref)(void*) = find<void (*)(void*)>("uv_unref");
  void (*close)(void*, void (*)(void*)) = find<void (*)(void*, void (*)(void*))>("uv_close");

  static constexpr int kPollType = 8;

  /** Whether all are there, and the type of a handle is the one that we know. */
  bool is_known() const {
    if (!type_name || !size || !poll_init || !poll_start || !set_data || !get_data || !ref || !unref || !close) return false;
    const char* name = type_name(kPollType);
    return name != nullptr && strcmp(name, "poll") == 0;
  }

  static const Libuv& get() {
    // Initialized by one thread while others wait: workers start at the same time (C++17 [stmt.dcl]/4).
    static const Libuv libuv;
    return libuv;
  }

 private:
  template <typename Function>
  static Function find(const char* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
  }
};

/**
 * A descriptor in the loop in which Node itself waits. libuv's headers are not those of N-API, so its structures are
 * allocated by size: they have been the same through all of libuv 1. Where a function is missing, or the type is not the
 * one that we know, `start` returns false, and the sockets stay Node's.
 */
class LoopPoll {
 public:
  using Ready = void (*)(void* context);
  using Closed = void (*)(void* context);

  /** Calls `ready` on the loop's thread whenever `fd` is readable. False: this libuv is unknown, or out of memory. */
  bool start(void* loop, int fd, Ready ready, void* context) {
    constexpr int kReadable = 1;
    const Libuv& libuv = Libuv::get();
    if (!libuv.is_known()) return false;
    handle_ = calloc(1, libuv.size(Libuv::kPollType));
    if (handle_ == nullptr) return false;
    if (libuv.poll_init(loop, handle_, fd) != 0) {
      free(handle_);
      handle_ = nullptr;
      return false;
    }
    ready_ = ready;
    context_ = context;
    libuv.set_data(handle_, this);
    libuv.unref(handle_);
    if (libuv.poll_start(handle_, kReadable, on_ready) == 0) return true;
    libuv.close(handle_, [](void* handle) { free(handle); });
    handle_ = nullptr;
    return false;
  }

  /** Whether it keeps the loop alive. */
  void hold(bool is_held) {
    if (is_held == is_held_) return;
    is_held_ = is_held;
    (is_held ? Libuv::get().ref : Libuv::get().unref)(handle_);
  }

  /** Ends it; `closed` is called when the loop no longer uses the descriptor. */
  void stop(Closed closed, void* context) {
    closed_ = closed;
    context_ = context;
    Libuv::get().close(handle_, on_closed);
  }

 private:
  static void on_ready(void* handle, int, int) {
    const LoopPoll* poll = static_cast<LoopPoll*>(Libuv::get().get_data(handle));
    poll->ready_(poll->context_);
  }
  static void on_closed(void* handle) {
    LoopPoll* poll = static_cast<LoopPoll*>(Libuv::get().get_data(handle));
    poll->handle_ = nullptr;
    free(handle);
    poll->closed_(poll->context_);
  }

  void* handle_ = nullptr;
  void* context_ = nullptr;
  Ready ready_ = nullptr;
  Closed closed_ = nullptr;
  bool is_held_ = false;
};

}  // namespace viaduct
