// api/context.hpp — what every route may use.
#pragma once

#include "api/client_address.hpp"
#include "api/http_message.hpp"
#include "api/http_server.hpp"
#include "api/rate_limits.hpp"

#include <memory>
#include <string>

namespace scheduler::api {

struct Context {
  ApiServices services;
  config::AppConfig config;
  HttpLimits limits;
  TimePoint started_at{};
  TrustedProxies proxies = {};
  std::shared_ptr<RateLimits> rates = std::make_shared<RateLimits>(0);  // never null; 0: none
  bool leaving = false;  // the process is about to stop; who can go elsewhere should
};

// {"success":true,"data":<data>,"timestamp":…}. `data` is JSON text.
[[nodiscard]] Reply success(const Context& context, std::string_view data, int status = 200);

}  // namespace scheduler::api
