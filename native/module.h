#pragma once

#include <node_api.h>

#include <cstdint>
#include <vector>

#include "lane.h"
#include "relay.h"
#include "uv.h"

/** What the parts of the module share: how they talk to JavaScript, and what one environment of Node has of them. */
namespace viaduct {

/** The lane of one environment, and what it needs of Node. */
struct LaneHost {
  Lane lane;
  LoopPoll poll;
  napi_env env = nullptr;
  napi_ref on_turn = nullptr;
  napi_ref memory[3] = {};
  napi_async_cleanup_hook_handle cleanup = nullptr;
};

/** Each environment (main thread or worker) has its own. */
struct Instance {
  Relay* relay = nullptr;
  napi_threadsafe_function news = nullptr;
  /** Counters of the tunnels, in blocks that never move. */
  std::vector<uint64_t*> blocks;
  std::vector<napi_ref> block_refs;
  size_t slots_per_block = 0;
  /** Made by `start`, and freed when the loop has let go of it. */
  LaneHost* lane = nullptr;
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

inline int32_t int_of(napi_env env, napi_value value) {
  int32_t result = -1;
  napi_get_value_int32(env, value, &result);
  return result;
}

/** The object `lane` of the module. */
napi_value lane_functions(napi_env env);

}  // namespace viaduct
