#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include <cstring>

#include "module.h"

/** The lane as functions of JavaScript. Its sockets are numbers there, and what happens to them is in shared memory. */
namespace viaduct {

namespace {

/** Texts that are longer are written as bytes. */
constexpr size_t kTextBytesMax = 16'384;
constexpr size_t kAddressBytesMax = 96;

LaneHost* host_of(napi_env env) {
  Instance* instance = nullptr;
  napi_get_instance_data(env, reinterpret_cast<void**>(&instance));
  return instance->lane;
}

/** A socket by its number, which is the first argument of most calls. */
template <size_t count>
struct SocketCall : Call<count> {
  Lane& lane;
  LaneHost& host;
  const uint32_t socket;
  SocketCall(napi_env env, napi_callback_info info)
      : Call<count>(env, info),
        lane(this->instance->lane->lane),
        host(*this->instance->lane),
        socket(static_cast<uint32_t>(int_of(env, this->args[0]))) {}
};

/** As long as a socket is open, the loop goes on. */
void hold(LaneHost& host) { host.poll.hold(host.lane.size() > 0); }

/** Calls JavaScript with what has happened: how much, and whether another turn is due. */
template <typename CallFunction>
void tell(LaneHost& host, CallFunction call) {
  const size_t happened = host.lane.turn();
  if (happened == 0 && !host.lane.has_more()) return;
  napi_value function;
  napi_value receiver;
  napi_value args[2];
  napi_get_reference_value(host.env, host.on_turn, &function);
  napi_get_global(host.env, &receiver);
  napi_create_uint32(host.env, static_cast<uint32_t>(happened), &args[0]);
  napi_get_boolean(host.env, host.lane.has_more(), &args[1]);
  call(receiver, function, args);
  hold(host);
}

void on_ready(void* context) {
  LaneHost& host = *static_cast<LaneHost*>(context);
  napi_handle_scope scope;
  if (napi_open_handle_scope(host.env, &scope) != napi_ok) return;
  tell(host, [&host](napi_value receiver, napi_value function, napi_value* args) {
    if (napi_make_callback(host.env, nullptr, receiver, function, 2, args, nullptr) != napi_pending_exception) return;
    // As for an exception in any other callback of the loop: it is nobody's here.
    napi_value thrown;
    if (napi_get_and_clear_last_exception(host.env, &thrown) == napi_ok) napi_fatal_exception(host.env, thrown);
  });
  napi_close_handle_scope(host.env, scope);
}

/** turn(): the same between two turns of the loop, for those that could not read all in the last one. */
napi_value turn(napi_env env, napi_callback_info) {
  tell(*host_of(env), [env](napi_value receiver, napi_value function, napi_value* args) {
    napi_call_function(env, receiver, function, 2, args, nullptr);
  });
  return nullptr;
}

void on_closed(void* context) {
  LaneHost* host = static_cast<LaneHost*>(context);
  const napi_async_cleanup_hook_handle cleanup = host->cleanup;
  delete host;
  napi_remove_async_cleanup_hook(cleanup);
}

/** The environment ends: the loop must let go of the descriptor before it is closed. */
void stop(napi_async_cleanup_hook_handle, void* context) {
  LaneHost* host = static_cast<LaneHost*>(context);
  Instance* instance = nullptr;
  napi_get_instance_data(host->env, reinterpret_cast<void**>(&instance));
  if (instance != nullptr) instance->lane = nullptr;
  host->poll.stop(on_closed, host);
}

/** Memory of JavaScript that never moves, and lives as long as the lane. */
void* memory(napi_env env, napi_value buffer, size_t size, napi_ref* ref) {
  void* bytes = nullptr;
  size_t given = 0;
  if (napi_get_arraybuffer_info(env, buffer, &bytes, &given) != napi_ok || given != size) return nullptr;
  return napi_create_reference(env, buffer, 1, ref) == napi_ok ? bytes : nullptr;
}

/** start(onTurn, states, happened, buffer): undefined, or throws and there is no lane. */
napi_value start(napi_env env, napi_callback_info info) {
  Call<4> call(env, info);
  if (call.instance->lane != nullptr) return throw_error(env, "the lane has started already");
  LaneHost* host = new LaneHost;
  host->env = env;
  const auto give_up = [env, host](const char* why) {
    delete host;
    return throw_error(env, why);
  };
  const Lane::Shared shared = {
      static_cast<uint8_t*>(memory(env, call.args[1], Lane::kSocketsMax, &host->memory[0])),
      static_cast<int32_t*>(
          memory(env, call.args[2], kHappenedMax * kNumbersEach * sizeof(int32_t), &host->memory[1])),
      static_cast<char*>(memory(env, call.args[3], Lane::kBufferBytes, &host->memory[2])),
  };
  if (shared.states == nullptr || shared.happened == nullptr || shared.buffer == nullptr) {
    return give_up("no ArrayBuffers of the right size");
  }
  void* loop = nullptr;
  if (napi_get_uv_event_loop(env, reinterpret_cast<struct uv_loop_s**>(&loop)) != napi_ok) {
    return give_up("there is no loop to wait in");
  }
  if (napi_create_reference(env, call.args[0], 1, &host->on_turn) != napi_ok) return give_up("no function to call");
  if (host->lane.start(shared) != 0) return give_up("the system has no epoll descriptor left");
  if (napi_add_async_cleanup_hook(env, stop, host, &host->cleanup) != napi_ok) return give_up("no way to hear of the end");
  if (!host->poll.start(loop, host->lane.fd(), on_ready, host)) {
    napi_remove_async_cleanup_hook(host->cleanup);
    return give_up("this Node waits by another libuv");
  }
  call.instance->lane = host;
  return nullptr;
}

bool text_of(napi_env env, napi_value value, char* text, size_t size, size_t* length) {
  return napi_get_value_string_latin1(env, value, text, size, length) == napi_ok;
}

/** listen(address, port, backlog, sharesPort): a socket, or a negative errno. */
napi_value listen(napi_env env, napi_callback_info info) {
  Call<4> call(env, info);
  char address[kAddressBytesMax];
  size_t length;
  bool shares_port = false;
  napi_get_value_bool(env, call.args[3], &shares_port);
  if (!text_of(env, call.args[0], address, sizeof address, &length)) return number(env, -EINVAL);
  LaneHost& host = *call.instance->lane;
  const int socket = host.lane.listen(address, static_cast<uint16_t>(int_of(env, call.args[1])),
                                      int_of(env, call.args[2]), shares_port);
  hold(host);
  return number(env, socket);
}

/** serve(listener): 0, or an errno. */
napi_value serve(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  return number(env, call.lane.serve(call.socket));
}

/** dial(address, port): a socket, or a negative errno. */
napi_value dial(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  char address[kAddressBytesMax];
  size_t length;
  if (!text_of(env, call.args[0], address, sizeof address, &length)) return number(env, -EINVAL);
  LaneHost& host = *call.instance->lane;
  const int socket = host.lane.dial(address, static_cast<uint16_t>(int_of(env, call.args[1])));
  hold(host);
  return number(env, socket);
}

/** later(socket): what it is ready for comes with the next turn. */
napi_value later(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  call.lane.look_later(call.socket);
  return nullptr;
}

/** write(socket, bytes): how many of them, or a negative errno. */
napi_value write(napi_env env, napi_callback_info info) {
  SocketCall<2> call(env, info);
  void* bytes = nullptr;
  size_t size = 0;
  if (napi_get_buffer_info(env, call.args[1], &bytes, &size) != napi_ok) return number(env, -EINVAL);
  return number(env, static_cast<int32_t>(call.lane.write(call.socket, static_cast<const char*>(bytes), size)));
}

/** writeText(socket, latin1): the same; of a long text only the beginning is tried. */
napi_value write_text(napi_env env, napi_callback_info info) {
  SocketCall<2> call(env, info);
  char text[kTextBytesMax];
  size_t length = 0;
  if (!text_of(env, call.args[1], text, sizeof text, &length)) return number(env, -EINVAL);
  return number(env, static_cast<int32_t>(call.lane.write(call.socket, text, length)));
}

/** read(socket, bytes): how many, 0 at the end, or a negative errno. */
napi_value read(napi_env env, napi_callback_info info) {
  SocketCall<2> call(env, info);
  void* bytes = nullptr;
  size_t size = 0;
  if (napi_get_buffer_info(env, call.args[1], &bytes, &size) != napi_ok) return number(env, -EINVAL);
  return number(env, static_cast<int32_t>(call.lane.read(call.socket, static_cast<char*>(bytes), size)));
}

/** shutDown(socket): 0, or an errno. */
napi_value shut_down(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  return number(env, call.lane.shut_down(call.socket));
}

/** close(socket) */
napi_value close(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  call.lane.close(call.socket, false);
  hold(call.host);
  return nullptr;
}

/** reset(socket) */
napi_value reset(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  call.lane.close(call.socket, true);
  hold(call.host);
  return nullptr;
}

/** release(socket): its descriptor, the caller's from now on. */
napi_value release(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  const int fd = call.lane.release(call.socket);
  hold(call.host);
  return number(env, fd);
}

/** size(): sockets that are open. */
napi_value size(napi_env env, napi_callback_info) {
  return number(env, static_cast<int32_t>(host_of(env)->lane.size()));
}

/** keepAlive(socket, afterSeconds) */
napi_value keep_alive(napi_env env, napi_callback_info info) {
  SocketCall<2> call(env, info);
  call.lane.keep_alive(call.socket, int_of(env, call.args[1]));
  return nullptr;
}

/** An address as [text, port]; IPv4 inside IPv6 as IPv4. */
napi_value address_of(napi_env env, const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  uint16_t port = 0;
  if (address.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
    port = ntohs(four.sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) inet_ntop(AF_INET, &six.sin6_addr.s6_addr[12], text, sizeof text);
    else inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
    port = ntohs(six.sin6_port);
  }
  napi_value pair;
  napi_value first;
  napi_create_array_with_length(env, 2, &pair);
  napi_create_string_latin1(env, text, NAPI_AUTO_LENGTH, &first);
  napi_set_element(env, pair, 0, first);
  napi_set_element(env, pair, 1, number(env, port));
  return pair;
}

/** peer(socket), own(socket): [address, port]; ['', 0] when there is none. */
napi_value peer(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  sockaddr_storage address = {};
  if (!call.lane.peer(call.socket, &address)) address.ss_family = AF_UNSPEC;
  return address_of(env, address);
}

napi_value own(napi_env env, napi_callback_info info) {
  SocketCall<1> call(env, info);
  sockaddr_storage address = {};
  if (!call.lane.own(call.socket, &address)) address.ss_family = AF_UNSPEC;
  return address_of(env, address);
}

/** How JavaScript calls a function: nothing runs it once the environment ends, and before `start` there is nothing. */
template <napi_value (*function)(napi_env, napi_callback_info)>
napi_value guarded(napi_env env, napi_callback_info info) {
  return host_of(env) == nullptr ? throw_error(env, "there is no lane") : function(env, info);
}

}  // namespace

napi_value lane_functions(napi_env env) {
  const auto entry = [](const char* name, napi_callback function) -> napi_property_descriptor {
    return {name, nullptr, function, nullptr, nullptr, nullptr, napi_default, nullptr};
  };
  const napi_property_descriptor functions[] = {
      entry("start", start),
      entry("turn", guarded<turn>),
      entry("listen", guarded<listen>),
      entry("serve", guarded<serve>),
      entry("dial", guarded<dial>),
      entry("later", guarded<later>),
      entry("write", guarded<write>),
      entry("writeText", guarded<write_text>),
      entry("read", guarded<read>),
      entry("shutDown", guarded<shut_down>),
      entry("close", guarded<close>),
      entry("reset", guarded<reset>),
      entry("release", guarded<release>),
      entry("size", guarded<size>),
      entry("keepAlive", guarded<keep_alive>),
      entry("peer", guarded<peer>),
      entry("own", guarded<own>),
  };
  napi_value lane;
  napi_create_object(env, &lane);
  napi_define_properties(env, lane, sizeof functions / sizeof *functions, functions);
  return lane;
}

}  // namespace viaduct
