#include "config/bind_address.hpp"

#include <fmt/format.h>

#include <arpa/inet.h>
#include <charconv>

namespace scheduler::config {
namespace {

// Not the name of one: where it leads would be decided by whoever answers for names.
bool is_address(const std::string& host) {
  in6_addr bytes{};
  return host == "localhost" || ::inet_pton(AF_INET, host.c_str(), &bytes) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &bytes) == 1;
}

}  // namespace

SchedulerResult<BindAddress> parse_bind_address(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorKind::Config,
                fmt::format("'{}' is not host:port; write it like 127.0.0.1:8080 or [::1]:8080", text.substr(0, 64)));
  };
  const auto colon = text.rfind(':');
  if (colon == text.npos) return bad();
  auto host = text.substr(0, colon);
  const auto port_text = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.contains(':'))
    return bad();  // an IPv6 address needs brackets, or the port would be a guess
  unsigned short port = 0;
  const auto [end, fault] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (fault != std::errc{} || end != port_text.data() + port_text.size() || !is_address(std::string(host)))
    return bad();
  return BindAddress{std::string(host), port};
}

}  // namespace scheduler::config
