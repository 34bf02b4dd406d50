// config/broker_url.hpp — where a message broker is and who we are there:
//   redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]        amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST]
// User, password and vhost may hold %xx. IPv6 addresses stand in brackets.
#pragma once

#include "errors/result.hpp"

#include <string>
#include <string_view>

namespace scheduler::config {

struct BrokerUrl {
  std::string host;
  int port = 0;
  std::string user, password;  // empty: none was given
  std::string path;            // what follows the '/', decoded; empty: nothing
};

// Error: Config, with what is wrong and an example, never with the URL itself: it may hold a password.
[[nodiscard]] SchedulerResult<BrokerUrl> parse_redis_url(std::string_view url);
[[nodiscard]] SchedulerResult<BrokerUrl> parse_amqp_url(std::string_view url);

}  // namespace scheduler::config
