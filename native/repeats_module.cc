#include <algorithm>
#include <cstring>
#include <new>

#include "address_text.h"
#include "module.h"

/** Repeats as functions of JavaScript. */
namespace viaduct {

namespace {

/** The longest head, and addresses. */
constexpr size_t kTextBytesMax = kRepeatedHeadBytesMax + 1;
constexpr size_t kAddressBytesMax = 96;

Instance& instance_of(napi_env env) {
  Instance* instance = nullptr;
  napi_get_instance_data(env, reinterpret_cast<void**>(&instance));
  return *instance;
}

/** The text of a value in Latin-1; empty when it is none, or is longer than `text`. */
template <size_t size>
size_t read_text(napi_env env, napi_value value, char (&text)[size]) {
  size_t length = 0;
  text[0] = '\0';
  if (napi_get_value_string_latin1(env, value, nullptr, 0, &length) != napi_ok || length >= size) return 0;
  napi_get_value_string_latin1(env, value, text, size, &length);
  return length;
}

/**
 * begin(onReports, reports, counters): undefined, or throws and nothing is repeated. The relay and the epoll sockets have
 * started. `reports` and `counters` are ArrayBuffers for `kReportsMax` reports and `kRepeatedMax` tunnels.
 */
napi_value begin(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  Instance& instance = *call.instance;
  if (instance.relay == nullptr || instance.epoll == nullptr || instance.repeats != nullptr) {
    return throw_error(env, "the relay and the epoll sockets have to start first, once");
  }
  constexpr size_t kReportBytes = kReportsMax * kNumbersPerReport * sizeof(double);
  instance.reports =
      static_cast<double*>(shared_memory(env, call.args[1], kReportBytes, &instance.repeats_refs[0]));
  auto* counters = static_cast<uint64_t*>(
      shared_memory(env, call.args[2], kRepeatedMax * 2 * sizeof(uint64_t), &instance.repeats_refs[1]));
  if (instance.reports == nullptr || counters == nullptr) return throw_error(env, "the ArrayBuffers have another size");
  if (napi_create_reference(env, call.args[0], 1, &instance.on_reports) != napi_ok) {
    return throw_error(env, "onReports is not a function");
  }
  Repeats* repeats = new (std::nothrow) Repeats(*instance.relay);
  if (repeats == nullptr || repeats->start() != 0) {
    delete repeats;
    return throw_error(env, "the system has no descriptor left");
  }
  instance.relay->begin_repeats(repeats, counters);
  if (instance.epoll->sockets.repeat_with(repeats) != 0) {
    instance.epoll->sockets.repeat_with(nullptr);
    delete repeats;
    return throw_error(env, "the system has no watch left");
  }
  instance.repeats = repeats;
  return nullptr;
}

/**
 * add(listener, client, localAddress, head, response, target, port, decision): whether it will be repeated. An empty
 * `localAddress` is that of a listener on one address.
 */
napi_value add(napi_env env, napi_callback_info info) {
  Call<8> call(env, info);
  Instance& instance = *call.instance;
  napi_value result;
  bool is_added = false;
  if (instance.repeats != nullptr && instance.epoll != nullptr) {
    char client[kAddressBytesMax];
    char local[kAddressBytesMax];
    char head[kTextBytesMax];
    char target[kAddressBytesMax];
    Decision decision;
    read_text(env, call.args[1], client);
    read_text(env, call.args[2], local);
    const size_t head_bytes = read_text(env, call.args[3], head);
    decision.response_bytes = read_text(env, call.args[4], decision.response);
    read_text(env, call.args[5], target);
    const auto port = static_cast<uint16_t>(int_of(env, call.args[6]));
    decision.target_bytes = socket_address_of(target, port, &decision.target);
    decision.id = static_cast<uint32_t>(int_of(env, call.args[7]));
    const auto listener = static_cast<uint32_t>(int_of(env, call.args[0]));
    is_added = head_bytes > 0 && decision.response_bytes > 0 && decision.target_bytes > 0 &&
               instance.repeats->add({listener, client, local}, head, head_bytes, decision);
    if (is_added) instance.epoll->sockets.await_bytes(listener);
  }
  napi_get_boolean(env, is_added, &result);
  return result;
}

/** renew(): tunnels for which it has to wait; 0: the table is a new one. */
napi_value renew(napi_env env, napi_callback_info) {
  Instance& instance = instance_of(env);
  return number(env, instance.repeats == nullptr ? 0 : static_cast<int32_t>(instance.repeats->renew()));
}

/** setCredit(tunnels) */
napi_value set_credit(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  const int tunnels = int_of(env, call.args[0]);
  if (call.instance->repeats != nullptr) call.instance->repeats->set_credit(static_cast<uint32_t>(std::max(0, tunnels)));
  return nullptr;
}

/** unreported() */
napi_value unreported(napi_env env, napi_callback_info) {
  Instance& instance = instance_of(env);
  return number(env, instance.repeats == nullptr ? 0 : static_cast<int32_t>(instance.repeats->unreported()));
}

/** nowMs(): on the clock of the reports. */
napi_value now_ms(napi_env env, napi_callback_info) {
  napi_value result;
  napi_create_double(env, exact_ms(), &result);
  return result;
}

}  // namespace

void call_on_reports(napi_env env, Instance& instance, const Vector<Report>& reports) {
  if (instance.repeats == nullptr) return;
  for (size_t first = 0; first < reports.size(); first += kReportsMax) {
    const size_t count = std::min(reports.size() - first, kReportsMax);
    double* at = instance.reports;
    for (size_t one = first; one < first + count; one++) {
      const Report& report = reports[one];
      *at++ = static_cast<double>(report.kind);
      *at++ = report.decision;
      *at++ = report.slot;
      *at++ = report.client_port;
      *at++ = report.accepted_ms;
      *at++ = report.opened_ms;
      *at++ = report.ended_ms;
      *at++ = static_cast<double>(report.up);
      *at++ = static_cast<double>(report.down);
      *at++ = static_cast<double>(report.end);
    }
    napi_value receiver;
    napi_value callback;
    napi_value argument = number(env, static_cast<int32_t>(count));
    napi_get_undefined(env, &receiver);
    napi_get_reference_value(env, instance.on_reports, &callback);
    // An exception must not keep the other reports from their readers.
    if (napi_call_function(env, receiver, callback, 1, &argument, nullptr) == napi_pending_exception) report_exception(env);
    // Not before: until JavaScript has read them, their decisions are in use.
    for (size_t one = first; one < first + count; one++) instance.repeats->reported(reports[one].table);
  }
}

napi_value repeats_functions(napi_env env) {
  const auto entry = [](const char* name, napi_callback function) -> napi_property_descriptor {
    return {name, nullptr, function, nullptr, nullptr, nullptr, napi_default, nullptr};
  };
  const napi_property_descriptor functions[] = {
      entry("begin", begin),           entry("add", add),
      entry("renew", renew),           entry("setCredit", set_credit),
      entry("unreported", unreported), entry("nowMs", now_ms),
  };
  napi_value object;
  napi_create_object(env, &object);
  napi_define_properties(env, object, sizeof functions / sizeof *functions, functions);
  return object;
}

}  // namespace viaduct
