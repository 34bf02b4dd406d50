// api/context.hpp — what every route may use.
#pragma once

#include "api/http_message.hpp"
#include "api/http_server.hpp"

#include <string>

namespace scheduler::api {

struct Context {
  ApiServices services;
  config::AppConfig config;
  HttpLimits limits;
  TimePoint started_at{};
  bool leaving = false;  // the process is about to stop; who can go elsewhere should
};

// {"success":true,"data":<data>,"timestamp":…}. `data` is JSON text.
[[nodiscard]] Reply success(const Context& context, std::string_view data, int status = 200);

}  // namespace scheduler::api
