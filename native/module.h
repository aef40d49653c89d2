#pragma once

#include <node_api.h>

#include <cstdint>

#include "abi.h"
#include "epoll_sockets.h"
#include "memory.h"
#include "relay.h"
#include "repeats.h"
#include "uv.h"

/** What the parts of the addon share: the state of one environment of Node, and how they read and return values. */
namespace viaduct {

/** The sockets of one environment, and what they need of Node. */
struct EpollHost {
  EpollSockets sockets;
  LoopPoll poll;
  napi_env env = nullptr;
  napi_ref on_tick = nullptr;
  napi_ref memory[3] = {};
  napi_async_cleanup_hook_handle cleanup = nullptr;
};

/** Each environment (main thread or worker) has its own. */
struct Instance {
  Relay* relay = nullptr;
  /** Calls JavaScript when there are events of tunnels. */
  napi_threadsafe_function on_events = nullptr;
  /** Shared with JavaScript: `kRelayEventsMax` events. */
  int32_t* events = nullptr;
  napi_ref events_ref = nullptr;
  /** Counters of the tunnels, in blocks that never move. */
  Vector<uint64_t*> blocks;
  Vector<napi_ref> block_refs;
  /** Made by `beginRepeats`, and deleted behind the relay. */
  Repeats* repeats = nullptr;
  /** Shared with JavaScript: `kReportsMax` reports. */
  double* reports = nullptr;
  napi_ref repeats_refs[2] = {};
  napi_ref on_reports = nullptr;
  /** Made by `start`, and deleted when the loop no longer uses its descriptor. */
  EpollHost* epoll = nullptr;
};

inline void free_instance(napi_env, void* data, void*) { delete static_cast<Instance*>(data); }

/** Arguments of a call, and the state of its environment. */
template <size_t count>
struct Call {
  napi_value args[count];
  Instance* instance = nullptr;
  Call(napi_env env, napi_callback_info info) {
    size_t given = count;
    napi_get_cb_info(env, info, &given, args, nullptr, nullptr);
    napi_get_instance_data(env, reinterpret_cast<void**>(&instance));
  }
};

inline napi_value throw_error(napi_env env, const char* what) {
  napi_throw_error(env, nullptr, what);
  return nullptr;
}

inline napi_value number(napi_env env, int32_t value) {
  napi_value result;
  napi_create_int32(env, value, &result);
  return result;
}

/** -1 for a value that is not a number: the number of no socket, slot or descriptor. */
inline int32_t int_of(napi_env env, napi_value value) {
  int32_t result = -1;
  napi_get_value_int32(env, value, &result);
  return result;
}

/** The bytes of an ArrayBuffer of exactly that size, kept alive by `ref`; nullptr when it is not one. */
inline void* shared_memory(napi_env env, napi_value buffer, size_t size, napi_ref* ref) {
  void* bytes = nullptr;
  size_t given = 0;
  if (napi_get_arraybuffer_info(env, buffer, &bytes, &given) != napi_ok || given != size) return nullptr;
  return napi_create_reference(env, buffer, 1, ref) == napi_ok ? bytes : nullptr;
}

/** An exception of JavaScript that no caller can catch goes where those of other callbacks of the loop go. */
inline void report_exception(napi_env env) {
  napi_value thrown;
  if (napi_get_and_clear_last_exception(env, &thrown) == napi_ok) napi_fatal_exception(env, thrown);
}

/** The object `repeats` of the addon. */
napi_value repeats_functions(napi_env env);
/** Calls JavaScript with reports. */
void call_on_reports(napi_env env, Instance& instance, const Vector<Report>& reports);

/** The object `epollSockets` of the addon. */
napi_value epoll_sockets_functions(napi_env env);

}  // namespace viaduct
