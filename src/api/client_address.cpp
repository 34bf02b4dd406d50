#include "api/client_address.hpp"

#include "api/query.hpp"

#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace scheduler::api {
namespace {

using boost::asio::ip::address;

// ::ffff:10.0.0.7 is 10.0.0.7 that came in through an IPv6 socket.
address plain(const address& it) {
  if (it.is_v6() && it.to_v6().is_v4_mapped())
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, it.to_v6());
  return it;
}

std::vector<unsigned char> bytes_of(const address& it) {
  if (it.is_v4()) {
    const auto bytes = it.to_v4().to_bytes();
    return {bytes.begin(), bytes.end()};
  }
  const auto bytes = it.to_v6().to_bytes();
  return {bytes.begin(), bytes.end()};
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

std::optional<address> parse_address(std::string_view text) {
  constexpr std::size_t kTextMax = 45;
  if (text.size() > kTextMax) return std::nullopt;
  boost::system::error_code ec;
  const auto parsed = boost::asio::ip::make_address(std::string(text), ec);
  if (ec) return std::nullopt;
  return plain(parsed);
}

std::string text_of(const address& it) {
  if (it.is_v4()) return it.to_string();
  auto bytes = it.to_v6().to_bytes();
  if (it.is_loopback()) return it.to_string();
  std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
  return boost::asio::ip::address_v6(bytes).to_string() + "/64";
}

}  // namespace

SchedulerResult<TrustedProxies> TrustedProxies::parse(std::string_view list) {
  TrustedProxies all;
  while (!list.empty()) {
    const auto item = trimmed(list.substr(0, list.find(',')));
    list.remove_prefix(std::min(list.size(), list.find(',') == list.npos ? list.size() : list.find(',') + 1));
    const auto slash = item.find('/');
    const auto base = parse_address(item.substr(0, slash));
    const int most = base && base->is_v4() ? 32 : 128;
    const auto bits =
        slash == item.npos ? std::optional<std::int64_t>(most) : parse_integer(item.substr(slash + 1), 1, most);
    if (!base || !bits)
      return fail(ErrorKind::Config,
                  fmt::format("api.trusted_proxies: '{}' is no address and no network; write it like 10.0.0.7 or "
                              "10.0.0.0/8",
                              item.substr(0, 64)));
    all.networks_.push_back({bytes_of(*base), static_cast<unsigned>(*bits)});
  }
  return all;
}

bool TrustedProxies::trusts(const address& it) const {
  const auto bytes = bytes_of(it);
  const auto bit = [](const std::vector<unsigned char>& of, unsigned n) { return (of[n / 8] >> (7 - n % 8)) & 1; };
  return std::ranges::any_of(networks_, [&](const Network& network) {
    if (network.bytes.size() != bytes.size()) return false;
    for (unsigned n = 0; n < network.bits; ++n)
      if (bit(network.bytes, n) != bit(bytes, n)) return false;
    return true;
  });
}

std::string TrustedProxies::client_of(const address& peer, std::optional<std::string_view> forwarded_for) const {
  auto client = plain(peer);
  auto rest = forwarded_for.value_or("");
  while (!rest.empty() && trusts(client)) {
    const auto comma = rest.rfind(',');
    const auto said = parse_address(trimmed(comma == rest.npos ? rest : rest.substr(comma + 1)));
    if (!said) break;
    client = *said;
    rest = comma == rest.npos ? "" : rest.substr(0, comma);
  }
  return text_of(client);
}

}  // namespace scheduler::api
