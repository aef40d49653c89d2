#include <errno.h>
#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>

#include <new>

#include "module.h"

/** The relay as a module of Node. Each environment (main thread or worker) that starts it has a thread of its own. */
namespace {

using viaduct::Call;
using viaduct::Instance;
using viaduct::int_of;
using viaduct::kClient;
using viaduct::kUpstream;
using viaduct::number;
using viaduct::Order;
using viaduct::Relay;
using viaduct::throw_error;
using viaduct::Told;
using viaduct::Tunnel;

/** On the loop's thread: hands over all news, as triples of slot, news and detail. */
void tell_news(napi_env env, napi_value callback, void* context, void*) {
  if (env == nullptr) return;
  Instance* instance = static_cast<Instance*>(context);
  if (instance->relay == nullptr) return;
  const std::vector<Told> news = instance->relay->take_news();
  if (news.empty()) return;
  void* bytes;
  napi_value buffer;
  napi_value triples;
  napi_value receiver;
  if (napi_create_arraybuffer(env, news.size() * 3 * sizeof(int32_t), &bytes, &buffer) != napi_ok) return;
  int32_t* at = static_cast<int32_t*>(bytes);
  for (const Told& told : news) {
    *at++ = static_cast<int32_t>(told.slot);
    *at++ = static_cast<int32_t>(told.news);
    *at++ = told.detail;
  }
  napi_create_typedarray(env, napi_int32_array, news.size() * 3, buffer, 0, &triples);
  napi_get_undefined(env, &receiver);
  napi_call_function(env, receiver, callback, 1, &triples, nullptr);
}

void wake(void* context) {
  napi_call_threadsafe_function(static_cast<Instance*>(context)->news, nullptr, napi_tsfn_nonblocking);
}

/** The environment ends: no thread of ours may outlive it. */
void stop(void* data) {
  Instance* instance = static_cast<Instance*>(data);
  delete instance->relay;
  instance->relay = nullptr;
  if (instance->news != nullptr) napi_release_threadsafe_function(instance->news, napi_tsfn_abort);
  instance->news = nullptr;
}

/** start(onNews, slotsPerBlock): undefined, or throws. */
napi_value start(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  Instance* instance = call.instance;
  if (instance->relay != nullptr) return throw_error(env, "the relay has started already");
  instance->slots_per_block = static_cast<size_t>(int_of(env, call.args[1]));
  napi_value name;
  napi_create_string_utf8(env, "relay", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, call.args[0], nullptr, name, 0, 1, nullptr, nullptr, instance, tell_news,
                                      &instance->news) != napi_ok) {
    return throw_error(env, "no way to call back from another thread");
  }
  // Only open tunnels keep the loop alive; see hold().
  napi_unref_threadsafe_function(env, instance->news);
  Relay* relay = new Relay(wake, instance);
  if (relay->start() != 0) {
    delete relay;
    napi_release_threadsafe_function(instance->news, napi_tsfn_abort);
    instance->news = nullptr;
    return throw_error(env, "the system gives the relay no thread");
  }
  instance->relay = relay;
  napi_add_env_cleanup_hook(env, stop, instance);
  return nullptr;
}

/** addBlock(counters): an ArrayBuffer with two 64-bit numbers for each slot, in the order of the slots. */
napi_value add_block(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  void* bytes = nullptr;
  size_t size = 0;
  napi_ref ref;
  if (napi_get_arraybuffer_info(env, call.args[0], &bytes, &size) != napi_ok ||
      size != call.instance->slots_per_block * 2 * sizeof(uint64_t) ||
      napi_create_reference(env, call.args[0], 1, &ref) != napi_ok) {
    return throw_error(env, "no ArrayBuffer of the right size");
  }
  call.instance->blocks.push_back(static_cast<uint64_t*>(bytes));
  call.instance->block_refs.push_back(ref);
  return nullptr;
}

bool add_early(napi_env env, Tunnel* tunnel, viaduct::Who who, napi_value buffer) {
  void* bytes = nullptr;
  size_t size = 0;
  if (napi_get_buffer_info(env, buffer, &bytes, &size) != napi_ok) return false;
  return size == 0 || tunnel->add_early(who, static_cast<const char*>(bytes), size);
}

/** A copy of a descriptor that stays the caller's, or one that the caller gives away. */
int descriptor_of(int fd, bool is_given) { return is_given ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 0); }

/**
 * take(slot, clientFd, upstreamFd, clientEarly, upstreamEarly, given): 0, or an errno and nothing has happened. Bit 0
 * of `given`: the client's descriptor is the relay's from now on; bit 1: the upstream's. Of one that is not the relay
 * works on a copy: the caller closes its own, and must not read from it any more.
 */
napi_value take(napi_env env, napi_callback_info info) {
  Call<6> call(env, info);
  Instance* instance = call.instance;
  const uint32_t slot = static_cast<uint32_t>(int_of(env, call.args[0]));
  const size_t block = slot / (instance->slots_per_block == 0 ? 1 : instance->slots_per_block);
  if (instance->relay == nullptr || block >= instance->blocks.size()) return number(env, EINVAL);
  const int given = int_of(env, call.args[5]);
  const bool is_client_given = (given & 1) != 0;
  const bool is_upstream_given = (given & 2) != 0;
  const int client = descriptor_of(int_of(env, call.args[1]), is_client_given);
  if (client < 0) return number(env, errno);
  const int upstream = descriptor_of(int_of(env, call.args[2]), is_upstream_given);
  const int failed = errno;
  const auto give_up = [&](int why) {
    if (!is_client_given) close(client);
    if (!is_upstream_given && upstream >= 0) close(upstream);
    return number(env, why);
  };
  if (upstream < 0) return give_up(failed);
  uint64_t* counters = instance->blocks[block] + 2 * (slot % instance->slots_per_block);
  Tunnel* tunnel = new (std::nothrow) Tunnel(slot, client, upstream, counters);
  if (tunnel == nullptr) return give_up(ENOMEM);
  if (!add_early(env, tunnel, kClient, call.args[3]) || !add_early(env, tunnel, kUpstream, call.args[4])) {
    tunnel->leave_sockets();
    delete tunnel;
    return give_up(ENOMEM);
  }
  counters[kClient] = counters[kUpstream] = 0;
  instance->relay->add(tunnel);
  return number(env, 0);
}

/** order(slot, order) */
napi_value order(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  if (call.instance->relay == nullptr) return nullptr;
  call.instance->relay->give(static_cast<uint32_t>(int_of(env, call.args[0])),
                             static_cast<Order>(int_of(env, call.args[1])));
  return nullptr;
}

napi_value buffer_of(napi_env env, const viaduct::Held& held) {
  napi_value result;
  void* bytes;
  if (napi_create_buffer_copy(env, held.size(), held.size() == 0 ? "" : held.data(), &bytes, &result) != napi_ok) {
    return nullptr;
  }
  return result;
}

/**
 * collect(slot): [clientFd, upstreamFd, from the client, from the upstream, who ended first or -1]; all of them are the
 * caller's.
 */
napi_value collect(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  if (call.instance->relay == nullptr) return throw_error(env, "the relay has stopped");
  const Relay::Released released = call.instance->relay->collect(static_cast<uint32_t>(int_of(env, call.args[0])));
  if (released.tunnel == nullptr) return throw_error(env, "nothing was released");
  const napi_value parts[] = {number(env, released.client), number(env, released.upstream),
                              buffer_of(env, released.tunnel->held(kClient)),
                              buffer_of(env, released.tunnel->held(kUpstream)),
                              number(env, released.tunnel->has_ended_one() ? released.tunnel->first_to_end() : -1)};
  delete released.tunnel;
  napi_value result;
  napi_create_array_with_length(env, 5, &result);
  for (uint32_t at = 0; at < 5; at++) napi_set_element(env, result, at, parts[at]);
  return result;
}

/** hold(count): open tunnels keep the loop alive, as sockets do; none does not. */
napi_value hold(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  if (call.instance->news == nullptr) return nullptr;
  if (int_of(env, call.args[0]) > 0) napi_ref_threadsafe_function(env, call.instance->news);
  else napi_unref_threadsafe_function(env, call.instance->news);
  return nullptr;
}

napi_value init(napi_env env, napi_value exports) {
  Instance* instance = new Instance;
  // The relay's thread and the lane's handle outlive this function; what they need is freed with the environment.
  napi_set_instance_data(env, instance, viaduct::free_instance, nullptr);
  const napi_property_descriptor functions[] = {
      {"start", nullptr, start, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"addBlock", nullptr, add_block, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"take", nullptr, take, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"order", nullptr, order, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"collect", nullptr, collect, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"hold", nullptr, hold, nullptr, nullptr, nullptr, napi_default, nullptr},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  napi_set_named_property(env, exports, "lane", viaduct::lane_functions(env));
  return exports;
}

}  // namespace

NAPI_MODULE(NODE_GYP_MODULE_NAME, init)
