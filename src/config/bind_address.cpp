#include "config/bind_address.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace scheduler::config {
namespace {

// 127.0.0.0/8 written as four decimal numbers.
bool is_ipv4_loopback(std::string_view host) {
  if (!host.starts_with("127.")) return false;
  int parts = 0;
  while (true) {
    const auto dot = std::min(host.find('.'), host.size());
    int n = -1;
    const auto [end, fault] = std::from_chars(host.data(), host.data() + dot, n);
    if (dot == 0 || dot > 3 || fault != std::errc{} || end != host.data() + dot || n < 0 || n > 255) return false;
    ++parts;
    if (dot == host.size()) return parts == 4;
    host.remove_prefix(dot + 1);
  }
}

bool is_loopback(std::string_view host) { return host == "localhost" || host == "::1" || is_ipv4_loopback(host); }

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
  if (host.empty() || fault != std::errc{} || end != port_text.data() + port_text.size()) return bad();
  if (!is_loopback(host))
    return fail(ErrorKind::Config,
                fmt::format("'{}' can be reached from other machines; until accounts exist the API listens on loopback "
                            "only; use 127.0.0.1:{} or put an SSH tunnel in front",
                            host.substr(0, 64), port == 0 ? 8080 : port));
  return BindAddress{std::string(host), port};
}

}  // namespace scheduler::config
