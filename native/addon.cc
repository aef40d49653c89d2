#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <node_api.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "interface_addresses.h"
#include "module.h"
#include "service.h"
#include "silence.h"
#include "socket_owner.h"
#include "urgent.h"

/** The relay as a module of Node. Each environment (main thread or worker) that starts it has its own relay thread. */
namespace {

using viaduct::Call;
using viaduct::Endpoint;
using viaduct::Event;
using viaduct::Instance;
using viaduct::int_of;
using viaduct::kClient;
using viaduct::kUpstream;
using viaduct::number;
using viaduct::Relay;
using viaduct::RelayCommand;
using viaduct::report_exception;
using viaduct::throw_error;
using viaduct::Tunnel;

/** On the loop's thread: calls JavaScript with all events, in parts of what the shared memory holds. */
void call_on_events(napi_env env, napi_value callback, void* context, void*) {
  if (env == nullptr) return;
  Instance* instance = static_cast<Instance*>(context);
  if (instance->relay == nullptr) return;
  const auto [reports, events] = instance->relay->take_news();
  viaduct::call_on_reports(env, *instance, reports);
  for (size_t first = 0; first < events.size(); first += viaduct::kRelayEventsMax) {
    const size_t count = std::min(events.size() - first, viaduct::kRelayEventsMax);
    int32_t* at = instance->events;
    for (size_t one = first; one < first + count; one++) {
      *at++ = static_cast<int32_t>(events[one].slot);
      *at++ = static_cast<int32_t>(events[one].kind);
      *at++ = events[one].detail;
    }
    napi_value receiver;
    napi_value argument;
    napi_get_undefined(env, &receiver);
    argument = number(env, static_cast<int32_t>(count));
    // An exception must not keep the other events from their tunnels.
    if (napi_call_function(env, receiver, callback, 1, &argument, nullptr) == napi_pending_exception) report_exception(env);
  }
  // JavaScript may have ended the environment meanwhile.
  if (instance->relay != nullptr) instance->relay->release(events);
}

void wake(void* context) {
  napi_call_threadsafe_function(static_cast<Instance*>(context)->on_events, nullptr, napi_tsfn_nonblocking);
}

/** The environment ends: its thread must not outlive it. */
void stop(void* data) {
  Instance* instance = static_cast<Instance*>(data);
  // Its thread hands clients back as long as it runs.
  if (instance->epoll != nullptr) instance->epoll->sockets.repeat_with(nullptr);
  delete instance->relay;
  instance->relay = nullptr;
  delete instance->repeats;
  instance->repeats = nullptr;
  if (instance->on_events != nullptr) napi_release_threadsafe_function(instance->on_events, napi_tsfn_abort);
  instance->on_events = nullptr;
}

/**
 * start(onEvents, events, resource): undefined, or throws and there is no thread. `events` is an ArrayBuffer for
 * `kRelayEventsMax` events; `resource` stands for the thread in async_hooks.
 */
napi_value start(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  Instance* instance = call.instance;
  if (instance->relay != nullptr) return throw_error(env, "the relay has started already");
  constexpr size_t kEventBytes = viaduct::kRelayEventsMax * viaduct::kNumbersPerRelayEvent * sizeof(int32_t);
  instance->events =
      static_cast<int32_t*>(viaduct::shared_memory(env, call.args[1], kEventBytes, &instance->events_ref));
  if (instance->events == nullptr) return throw_error(env, "the ArrayBuffer has another size");
  napi_value name;
  napi_create_string_utf8(env, "relay", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, call.args[0], call.args[2], name, 0, 1, nullptr, nullptr, instance,
                                      call_on_events, &instance->on_events) != napi_ok) {
    return throw_error(env, "another thread cannot call back here");
  }
  // Only open tunnels keep the loop alive; see hold().
  napi_unref_threadsafe_function(env, instance->on_events);
  Relay* relay = new (std::nothrow) Relay(wake, instance);
  if (relay == nullptr || relay->start() != 0) {
    delete relay;
    napi_release_threadsafe_function(instance->on_events, napi_tsfn_abort);
    instance->on_events = nullptr;
    return throw_error(env, "the system has no thread for the relay");
  }
  instance->relay = relay;
  napi_add_env_cleanup_hook(env, stop, instance);
  return nullptr;
}

/** addBlock(counters): an ArrayBuffer with two 64-bit numbers for each of the next `kSlotsPerBlock` slots. */
napi_value add_block(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  napi_ref ref;
  void* bytes = viaduct::shared_memory(env, call.args[0], viaduct::kSlotsPerBlock * 2 * sizeof(uint64_t), &ref);
  if (bytes == nullptr) return throw_error(env, "the ArrayBuffer has another size");
  call.instance->blocks.push_back(static_cast<uint64_t*>(bytes));
  call.instance->block_refs.push_back(ref);
  return nullptr;
}

bool add_early(napi_env env, Tunnel* tunnel, Endpoint source, napi_value buffer) {
  void* bytes = nullptr;
  size_t size = 0;
  if (napi_get_buffer_info(env, buffer, &bytes, &size) != napi_ok) return false;
  return size == 0 || tunnel->add_early(source, static_cast<const char*>(bytes), size);
}

/** The descriptor itself, or a copy of one that stays the caller's. */
int descriptor_of(int fd, bool is_given) {
  if (is_given) return fd;
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  // Node has no function for this; the addon's own sockets have it from the beginning.
  if (copy >= 0) viaduct::keep_urgent_inline(copy);
  return copy;
}

/**
 * add(slot, clientFd, upstreamFd, clientEarly, upstreamEarly, flags): 0, or an errno and nothing has happened. `flags` are
 * `kGiven…` and `kLimited…`. Of a descriptor that is not given the relay uses a copy: the caller closes its own, and must not
 * read from it any more.
 */
napi_value add(napi_env env, napi_callback_info info) {
  Call<6> call(env, info);
  Instance* instance = call.instance;
  const uint32_t slot = static_cast<uint32_t>(int_of(env, call.args[0]));
  const uint32_t index = Relay::index_of(slot);
  const size_t block = index / viaduct::kSlotsPerBlock;
  const bool is_number = slot >> viaduct::kSlotIndexBits < viaduct::kSlotGenerations;
  if (instance->relay == nullptr || !is_number || block >= instance->blocks.size()) return number(env, EINVAL);
  const int flags = int_of(env, call.args[5]);
  const bool is_client_given = (flags & viaduct::kGivenClient) != 0;
  const bool is_upstream_given = (flags & viaduct::kGivenUpstream) != 0;
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
  uint64_t* counters = instance->blocks[block] + 2 * (index % viaduct::kSlotsPerBlock);
  Tunnel* tunnel = new (std::nothrow) Tunnel(slot, client, upstream, counters);
  if (tunnel == nullptr) return give_up(ENOMEM);
  if ((flags & viaduct::kLimitedUp) != 0) tunnel->limit(kClient);
  if ((flags & viaduct::kLimitedDown) != 0) tunnel->limit(kUpstream);
  if (!add_early(env, tunnel, kClient, call.args[3]) || !add_early(env, tunnel, kUpstream, call.args[4])) {
    tunnel->detach_sockets();
    delete tunnel;
    return give_up(ENOMEM);
  }
  counters[kClient] = counters[kUpstream] = 0;
  instance->relay->add(tunnel);
  return number(env, 0);
}

/** command(slot, command, bytes): without effect for a tunnel that is over. `bytes` are those of a grant. */
napi_value command(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  if (call.instance->relay == nullptr) return nullptr;
  call.instance->relay->send_command(static_cast<uint32_t>(int_of(env, call.args[0])),
                                     static_cast<RelayCommand>(int_of(env, call.args[1])),
                                     static_cast<uint32_t>(std::max(0, int_of(env, call.args[2]))));
  return nullptr;
}

/** hold(count): open tunnels keep the loop alive, as sockets do. */
napi_value hold(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  if (call.instance->on_events == nullptr) return nullptr;
  if (int_of(env, call.args[0]) > 0) napi_ref_threadsafe_function(env, call.instance->on_events);
  else napi_unref_threadsafe_function(env, call.instance->on_events);
  return nullptr;
}

/** boundSilence(fd, afterMs, isBound): whether it is now. For sockets of Node, which has no function for this. */
napi_value bound_silence(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  bool is_bound = false;
  napi_get_value_bool(env, call.args[2], &is_bound);
  is_bound = viaduct::bound_silence(int_of(env, call.args[0]), static_cast<unsigned>(int_of(env, call.args[1])), is_bound);
  napi_value result;
  napi_get_boolean(env, is_bound, &result);
  return result;
}

/** closeOnExec(fd): 0, or an errno. */
napi_value close_on_exec(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  return number(env, viaduct::close_on_exec(int_of(env, call.args[0])));
}

/** notify(path, text), both as Buffers: 0, or an errno. */
napi_value notify(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  void* bytes[2] = {};
  size_t sizes[2] = {};
  for (int at = 0; at < 2; at++) {
    if (napi_get_buffer_info(env, call.args[at], &bytes[at], &sizes[at]) != napi_ok) return number(env, EINVAL);
  }
  return number(env, viaduct::notify(static_cast<const char*>(bytes[0]), sizes[0], static_cast<const char*>(bytes[1]), sizes[1]));
}

/** peerUid(fd): the user at the other end of a Unix socket when it connected (SO_PEERCRED, unix(7)); -1: not known. */
napi_value peer_uid(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  struct ucred peer = {};
  socklen_t size = sizeof peer;
  const bool is_known = getsockopt(int_of(env, call.args[0]), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  napi_value result = nullptr;
  // A user id has 32 bits without a sign.
  napi_create_double(env, is_known ? static_cast<double>(peer.uid) : -1, &result);
  return result;
}

/**
 * socketOwner(from, fromPort, to, toPort): the user whose socket is that end of a TCP connection, or a negative errno. Addresses
 * are Buffers of 4 or 16 bytes.
 */
napi_value socket_owner(napi_env env, napi_callback_info info) {
  Call<4> call(env, info);
  viaduct::SocketEnd ends[2] = {};
  int64_t owner = 0;
  for (int at = 0; at < 2; at++) {
    void* bytes = nullptr;
    if (napi_get_buffer_info(env, call.args[2 * at], &bytes, &ends[at].size) != napi_ok) owner = -EINVAL;
    ends[at].address = static_cast<const unsigned char*>(bytes);
    ends[at].port = static_cast<uint16_t>(int_of(env, call.args[2 * at + 1]));
  }
  if (owner == 0) owner = viaduct::owner_of_socket(ends[0], ends[1]);
  napi_value result = nullptr;
  napi_create_double(env, static_cast<double>(owner), &result);
  return result;
}

/** interfaceAddresses(): an array of [name of the interface, address, length of the prefix]; empty when the system has no answer. */
napi_value interface_addresses(napi_env env, napi_callback_info) {
  napi_value all = nullptr;
  napi_create_array(env, &all);
  uint32_t count = 0;
  viaduct::interface_addresses([&](const char* name, const char* address, int prefix) {
    napi_value one = nullptr;
    napi_value texts[2] = {};
    napi_create_array_with_length(env, 3, &one);
    napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &texts[0]);
    napi_create_string_latin1(env, address, NAPI_AUTO_LENGTH, &texts[1]);
    napi_set_element(env, one, 0, texts[0]);
    napi_set_element(env, one, 1, texts[1]);
    napi_set_element(env, one, 2, number(env, prefix));
    napi_set_element(env, all, count++, one);
  });
  return all;
}

/** releaseFreeMemory(): what glibc keeps of memory that was freed goes back to the system. */
napi_value release_free_memory(napi_env, napi_callback_info) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  return nullptr;
}

napi_value init(napi_env env, napi_value exports) {
  // The relay's thread and the handle of the epoll sockets outlive this function; what they need is freed with the environment.
  Instance* instance = new (std::nothrow) Instance;
  if (instance == nullptr) return throw_error(env, "out of memory");
  napi_set_instance_data(env, instance, viaduct::free_instance, nullptr);
  const auto entry = [](const char* name, napi_callback function) -> napi_property_descriptor {
    return {name, nullptr, function, nullptr, nullptr, nullptr, napi_default, nullptr};
  };
  const napi_property_descriptor functions[] = {
      entry("start", start),     entry("addBlock", add_block), entry("add", add),
      entry("command", command),
      entry("hold", hold),
      entry("boundSilence", bound_silence),
      entry("closeOnExec", close_on_exec),
      entry("notify", notify),
      entry("peerUid", peer_uid),
      entry("socketOwner", socket_owner),
      entry("interfaceAddresses", interface_addresses),
      entry("releaseFreeMemory", release_free_memory),
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  napi_set_named_property(env, exports, "abi", number(env, viaduct::kAbi));
  napi_set_named_property(env, exports, "epollSockets", viaduct::epoll_sockets_functions(env));
  napi_set_named_property(env, exports, "repeats", viaduct::repeats_functions(env));
  return exports;
}

}  // namespace

NAPI_MODULE(NODE_GYP_MODULE_NAME, init)
