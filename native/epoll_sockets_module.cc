#include <errno.h>

#include <new>

#include "address_text.h"
#include "module.h"

/** EpollSockets as functions of JavaScript. Sockets are numbers there, and their events are in shared memory. */
namespace viaduct {

namespace {

/** A longer text is written in parts, or as bytes. */
constexpr size_t kTextBytesMax = 16'384;
constexpr size_t kAddressBytesMax = 96;

EpollHost* host_of(napi_env env) {
  Instance* instance = nullptr;
  napi_get_instance_data(env, reinterpret_cast<void**>(&instance));
  return instance->epoll;
}

/** Most calls have the number of a socket as their first argument. */
template <size_t count>
struct SocketCall : Call<count> {
  EpollHost& host;
  EpollSockets& sockets;
  const uint32_t socket;
  SocketCall(napi_env env, napi_callback_info info)
      : Call<count>(env, info),
        host(*this->instance->epoll),
        sockets(host.sockets),
        socket(static_cast<uint32_t>(int_of(env, this->args[0]))) {}
};

/** As long as a socket is open, the loop goes on. */
void hold(EpollHost& host) { host.poll.hold(host.sockets.size() > 0); }

/** Calls JavaScript with the events of a tick: how many, and whether another tick is due. */
template <typename CallFunction>
void dispatch(EpollHost& host, CallFunction call) {
  const size_t events = host.sockets.tick();
  if (events == 0 && !host.sockets.has_more()) return;
  napi_value function;
  napi_value receiver;
  napi_value args[2];
  napi_get_reference_value(host.env, host.on_tick, &function);
  napi_get_global(host.env, &receiver);
  napi_create_uint32(host.env, static_cast<uint32_t>(events), &args[0]);
  napi_get_boolean(host.env, host.sockets.has_more(), &args[1]);
  call(receiver, function, args);
  hold(host);
}

void on_ready(void* context) {
  EpollHost& host = *static_cast<EpollHost*>(context);
  napi_handle_scope scope;
  if (napi_open_handle_scope(host.env, &scope) != napi_ok) return;
  dispatch(host, [&host](napi_value receiver, napi_value function, napi_value* args) {
    if (napi_make_callback(host.env, nullptr, receiver, function, 2, args, nullptr) == napi_pending_exception) {
      report_exception(host.env);
    }
  });
  napi_close_handle_scope(host.env, scope);
}

/** tick(): the same between two rounds of the loop, for sockets that had more than the last tick reads. */
napi_value tick(napi_env env, napi_callback_info) {
  dispatch(*host_of(env), [env](napi_value receiver, napi_value function, napi_value* args) {
    napi_call_function(env, receiver, function, 2, args, nullptr);
  });
  return nullptr;
}

void on_closed(void* context) {
  EpollHost* host = static_cast<EpollHost*>(context);
  const napi_async_cleanup_hook_handle cleanup = host->cleanup;
  delete host;
  napi_remove_async_cleanup_hook(cleanup);
}

/** The environment ends: the loop must let go of the descriptor before it is closed. */
void stop(napi_async_cleanup_hook_handle, void* context) {
  EpollHost* host = static_cast<EpollHost*>(context);
  Instance* instance = nullptr;
  napi_get_instance_data(host->env, reinterpret_cast<void**>(&instance));
  if (instance != nullptr) instance->epoll = nullptr;
  host->poll.stop(on_closed, host);
}

/** start(onTick, states, events, buffer): undefined, or throws and there are no sockets of the addon. */
napi_value start(napi_env env, napi_callback_info info) {
  Call<4> call(env, info);
  if (call.instance->epoll != nullptr) return throw_error(env, "the epoll sockets have started already");
  EpollHost* host = new (std::nothrow) EpollHost;
  if (host == nullptr) return throw_error(env, "out of memory");
  host->env = env;
  const auto give_up = [env, host](const char* why) {
    for (napi_ref ref : {host->memory[0], host->memory[1], host->memory[2], host->on_tick}) {
      if (ref != nullptr) napi_delete_reference(env, ref);
    }
    delete host;
    return throw_error(env, why);
  };
  const EpollSockets::Shared shared = {
      static_cast<uint8_t*>(shared_memory(env, call.args[1], kSocketsMax, &host->memory[0])),
      static_cast<int32_t*>(shared_memory(env, call.args[2], kSocketEventsMax * kNumbersPerEvent * sizeof(int32_t),
                                          &host->memory[1])),
      static_cast<char*>(shared_memory(env, call.args[3], kSharedBufferBytes, &host->memory[2])),
  };
  if (shared.states == nullptr || shared.events == nullptr || shared.buffer == nullptr) {
    return give_up("the ArrayBuffers have another size");
  }
  void* loop = nullptr;
  if (napi_get_uv_event_loop(env, reinterpret_cast<struct uv_loop_s**>(&loop)) != napi_ok) {
    return give_up("this environment has no event loop");
  }
  if (napi_create_reference(env, call.args[0], 1, &host->on_tick) != napi_ok) return give_up("onTick is not a function");
  if (host->sockets.start(shared) != 0) return give_up("the system has no epoll descriptor left");
  if (napi_add_async_cleanup_hook(env, stop, host, &host->cleanup) != napi_ok) {
    return give_up("the end of the environment cannot be observed");
  }
  if (!host->poll.start(loop, host->sockets.fd(), on_ready, host)) {
    napi_remove_async_cleanup_hook(host->cleanup);
    return give_up("this Node has another libuv than the addon knows");
  }
  call.instance->epoll = host;
  return nullptr;
}

bool text_of(napi_env env, napi_value value, char* text, size_t size, size_t* length) {
  return napi_get_value_string_latin1(env, value, text, size, length) == napi_ok;
}

/** listen(address, port, backlog, sharesPort): the number of a socket, or a negative errno. */
napi_value listen(napi_env env, napi_callback_info info) {
  Call<4> call(env, info);
  char address[kAddressBytesMax];
  size_t length;
  bool shares_port = false;
  napi_get_value_bool(env, call.args[3], &shares_port);
  if (!text_of(env, call.args[0], address, sizeof address, &length)) return number(env, -EINVAL);
  EpollHost& host = *call.instance->epoll;
  const int socket = host.sockets.listen(address, static_cast<uint16_t>(int_of(env, call.args[1])),
                                      int_of(env, call.args[2]), shares_port);
  hold(host);
  return number(env, socket);
}

/** serve(listener): 0, or an errno. */
napi_value serve(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  return number(env, call.sockets.serve(call.socket));
}

/** pause(listener): it accepts no more until `serve`. */
napi_value pause(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  call.sockets.pause(call.socket);
  return nullptr;
}

/** dial(address, port, from): the number of a socket, or a negative errno. An empty `from`: the system chooses it. */
napi_value dial(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  char address[kAddressBytesMax];
  char from[kAddressBytesMax];
  size_t length;
  if (!text_of(env, call.args[0], address, sizeof address, &length)) return number(env, -EINVAL);
  if (!text_of(env, call.args[2], from, sizeof from, &length)) return number(env, -EINVAL);
  EpollHost& host = *call.instance->epoll;
  const int socket = host.sockets.dial(address, static_cast<uint16_t>(int_of(env, call.args[1])), from);
  hold(host);
  return number(env, socket);
}

/** readLater(socket): the next tick reads it, when it is ready. */
napi_value read_later(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  call.sockets.read_later(call.socket);
  return nullptr;
}

/** write(socket, bytes): how many of them, or a negative errno. */
napi_value write(napi_env env, napi_callback_info info) {
  SocketCall<2> call(env, info);
  void* bytes = nullptr;
  size_t size = 0;
  if (napi_get_buffer_info(env, call.args[1], &bytes, &size) != napi_ok) return number(env, -EINVAL);
  return number(env, static_cast<int32_t>(call.sockets.write(call.socket, static_cast<const char*>(bytes), size)));
}

/** writeText(socket, latin1): the same; of a text over `kTextBytesMax` only the beginning. */
napi_value write_text(napi_env env, napi_callback_info info) {
  SocketCall<2> call(env, info);
  char text[kTextBytesMax];
  size_t length = 0;
  if (!text_of(env, call.args[1], text, sizeof text, &length)) return number(env, -EINVAL);
  return number(env, static_cast<int32_t>(call.sockets.write(call.socket, text, length)));
}

/** read(socket, bytes): how many, 0 at the end, or a negative errno. */
napi_value read(napi_env env, napi_callback_info info) {
  SocketCall<2> call(env, info);
  void* bytes = nullptr;
  size_t size = 0;
  if (napi_get_buffer_info(env, call.args[1], &bytes, &size) != napi_ok) return number(env, -EINVAL);
  return number(env, static_cast<int32_t>(call.sockets.read(call.socket, static_cast<char*>(bytes), size)));
}

/** isQuiet(socket): whether there is nothing to be read, not even an end. */
napi_value is_quiet(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  napi_value result;
  napi_get_boolean(env, call.sockets.is_quiet(call.socket), &result);
  return result;
}

/** shutDown(socket): 0, or an errno. */
napi_value shut_down(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  return number(env, call.sockets.shut_down(call.socket));
}

/** close(socket) */
napi_value close(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  call.sockets.close(call.socket);
  hold(call.host);
  return nullptr;
}

/** reset(socket) */
napi_value reset(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  call.sockets.reset(call.socket);
  hold(call.host);
  return nullptr;
}

/** takeFd(socket): its descriptor, the caller's from now on; -1 when it is closed. */
napi_value take_fd(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  const int fd = call.sockets.take_fd(call.socket);
  hold(call.host);
  return number(env, fd);
}

/** size(): sockets that are open. */
napi_value size(napi_env env, napi_callback_info) {
  return number(env, static_cast<int32_t>(host_of(env)->sockets.size()));
}

/** keepAlive(socket, afterSeconds) */
napi_value keep_alive(napi_env env, napi_callback_info info) {
  SocketCall<2> call(env, info);
  call.sockets.keep_alive(call.socket, int_of(env, call.args[1]));
  return nullptr;
}

/** boundSilence(socket, afterMs) */
napi_value bound_silence(napi_env env, napi_callback_info info) {
  SocketCall<2> call(env, info);
  call.sockets.bound_silence(call.socket, static_cast<unsigned>(int_of(env, call.args[1])));
  return nullptr;
}

/** An address as [text, port]; IPv4 inside IPv6 as IPv4. */
napi_value address_of(napi_env env, const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN];
  const uint16_t port = write_address(address, text);
  napi_value pair;
  napi_value first;
  napi_create_array_with_length(env, 2, &pair);
  napi_create_string_latin1(env, text, NAPI_AUTO_LENGTH, &first);
  napi_set_element(env, pair, 0, first);
  napi_set_element(env, pair, 1, number(env, port));
  return pair;
}

/** peer(socket), local(socket): [address, port]; ['', 0] when there is none. */
napi_value peer(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  sockaddr_storage address = {};
  if (!call.sockets.peer(call.socket, &address)) address.ss_family = AF_UNSPEC;
  return address_of(env, address);
}

napi_value local(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  sockaddr_storage address = {};
  if (!call.sockets.local(call.socket, &address)) address.ss_family = AF_UNSPEC;
  return address_of(env, address);
}

/** How JavaScript calls a function: before `start`, and once the environment ends, there are no sockets. */
template <napi_value (*function)(napi_env, napi_callback_info)>
napi_value guarded(napi_env env, napi_callback_info info) {
  return host_of(env) == nullptr ? throw_error(env, "the epoll sockets have not started") : function(env, info);
}

}  // namespace

napi_value epoll_sockets_functions(napi_env env) {
  const auto entry = [](const char* name, napi_callback function) -> napi_property_descriptor {
    return {name, nullptr, function, nullptr, nullptr, nullptr, napi_default, nullptr};
  };
  const napi_property_descriptor functions[] = {
      entry("start", start),
      entry("tick", guarded<tick>),
      entry("listen", guarded<listen>),
      entry("serve", guarded<serve>),
      entry("pause", guarded<pause>),
      entry("dial", guarded<dial>),
      entry("readLater", guarded<read_later>),
      entry("write", guarded<write>),
      entry("writeText", guarded<write_text>),
      entry("read", guarded<read>),
      entry("isQuiet", guarded<is_quiet>),
      entry("shutDown", guarded<shut_down>),
      entry("close", guarded<close>),
      entry("reset", guarded<reset>),
      entry("takeFd", guarded<take_fd>),
      entry("size", guarded<size>),
      entry("keepAlive", guarded<keep_alive>),
      entry("boundSilence", guarded<bound_silence>),
      entry("peer", guarded<peer>),
      entry("local", guarded<local>),
  };
  napi_value object;
  napi_create_object(env, &object);
  napi_define_properties(env, object, sizeof functions / sizeof *functions, functions);
  return object;
}

}  // namespace viaduct
