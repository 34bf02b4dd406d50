#include "config/broker_url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace scheduler::config {
namespace {

struct Kind {
  std::string_view scheme, secure_scheme, example;
  int default_port;
};
constexpr Kind kRedis{"redis://", "rediss://", "redis://:PASSWORD@127.0.0.1:6379/0", 6379};
constexpr Kind kAmqp{"amqp://", "amqps://", "amqp://USER:PASSWORD@127.0.0.1:5672/", 5672};

std::unexpected<SchedulerError> refuse(const Kind& kind, std::string_view why) {
  return fail(ErrorKind::Config, fmt::format("{}; write it like {}", why, kind.example));
}

// Nothing for a '%' without two hexadecimal digits.
std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (; !text.empty(); text.remove_prefix(1)) {
    if (text.front() != '%') {
      out += text.front();
      continue;
    }
    unsigned byte = 0;
    if (text.size() < 3 || std::from_chars(text.data() + 1, text.data() + 3, byte, 16).ptr != text.data() + 3)
      return std::nullopt;
    out += static_cast<char>(byte);
    text.remove_prefix(2);
  }
  return out;
}

// Takes what stands before `mark` off the front; nothing where there is no such mark.
std::optional<std::string_view> cut_before(std::string_view& text, std::size_t mark) {
  if (mark == text.npos) return std::nullopt;
  const auto front = text.substr(0, mark);
  text.remove_prefix(mark + 1);
  return front;
}

bool read_port(std::string_view text, int& into) {
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), into);
  return fault == std::errc{} && end == text.data() + text.size() && into >= 1 && into <= 65535;
}

SchedulerResult<BrokerUrl> parse(std::string_view url, const Kind& kind) {
  if (url.empty()) return refuse(kind, "is empty; this type of queue needs to know where its server is");
  if (url.starts_with(kind.secure_scheme))
    return refuse(kind,
                  "asks for TLS, which this version does not speak to brokers; use a private network or a tunnel");
  if (!url.starts_with(kind.scheme)) return refuse(kind, fmt::format("must begin with {}", kind.scheme));
  url.remove_prefix(kind.scheme.size());
  BrokerUrl found{.port = kind.default_port};

  auto place = url.substr(0, url.find('/'));
  const auto path = decoded(url.substr(std::min(place.size() + 1, url.size())));
  std::optional<std::string> user(""), password("");
  if (const auto login = cut_before(place, place.rfind('@'))) {
    const auto colon = std::min(login->find(':'), login->size());
    user = decoded(login->substr(0, colon));
    password = decoded(login->substr(std::min(colon + 1, login->size())));
  }
  if (!path || !user || !password) return refuse(kind, "holds a '%' that is not followed by two hexadecimal digits");
  found.user = *std::move(user);
  found.password = *std::move(password);
  found.path = *std::move(path);

  auto port = std::string_view();
  if (place.starts_with('[')) {
    place.remove_prefix(1);
    const auto host = cut_before(place, place.find(']'));
    if (!host) return refuse(kind, "has a '[' without its ']'");
    found.host = *host;
    if (!place.empty() && !place.starts_with(':')) return refuse(kind, "has something other than a port after ']'");
    port = place;
  } else {
    found.host = place.substr(0, place.find(':'));
    port = place.substr(found.host.size());
  }
  if (found.host.empty()) return refuse(kind, "names no host");
  if (!port.empty() && !read_port(port.substr(1), found.port))
    return refuse(kind, "has a port that is no number from 1 to 65535");
  return found;
}

}  // namespace

SchedulerResult<BrokerUrl> parse_redis_url(std::string_view url) {
  TRY(auto found, parse(url, kRedis));
  const auto& number = found.path;
  if (number.size() > 4 || !std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; }))
    return refuse(kRedis, "must end with the number of a database, or without '/'");
  return found;
}

// A vhost may be empty by name: "amqp://host/" means the usual vhost "/", as "amqp://host" does.
SchedulerResult<BrokerUrl> parse_amqp_url(std::string_view url) {
  TRY(auto found, parse(url, kAmqp));
  if (found.path.empty()) found.path = "/";
  if (found.user.empty()) found.user = found.password = "guest";
  return found;
}

}  // namespace scheduler::config
