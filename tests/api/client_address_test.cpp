#include "api/client_address.hpp"

#include <boost/asio/ip/address.hpp>
#include <gtest/gtest.h>

namespace scheduler::api {
namespace {

TEST(ClientOf, EveryKindOfPeer_IsTheOneThatCounts) {
  const auto proxies = TrustedProxies::parse("10.0.0.0/8, 192.168.1.1,fd00::/8").value();
  const struct {
    std::string_view name, peer;
    std::optional<std::string_view> forwarded;
    std::string_view client;
  } rows[] = {
      {"no proxy", "203.0.113.9", {}, "203.0.113.9"},
      {"a stranger who says it is a proxy", "203.0.113.9", "198.51.100.1", "203.0.113.9"},
      {"a proxy", "10.1.2.3", "198.51.100.1", "198.51.100.1"},
      {"two proxies", "10.1.2.3", "198.51.100.1, 192.168.1.1", "198.51.100.1"},
      {"what the client wrote itself", "10.1.2.3", "127.0.0.1, 10.9.9.9, 198.51.100.1", "198.51.100.1"},
      {"proxies alone", "10.1.2.3", "10.0.0.1", "10.0.0.1"},
      {"nonsense from a proxy", "10.1.2.3", "unknown", "10.1.2.3"},
      {"nonsense further left", "10.1.2.3", "evil, 10.0.0.7", "10.0.0.7"},
      {"an empty list", "10.1.2.3", "", "10.1.2.3"},
      {"a proxy over IPv6", "fd00::1", "198.51.100.1", "198.51.100.1"},
      {"IPv4 in an IPv6 socket", "::ffff:10.1.2.3", "198.51.100.1", "198.51.100.1"},
      {"one network is one client", "2001:db8:1:2:3:4:5:6", {}, "2001:db8:1:2::/64"},
      {"this machine", "::1", {}, "::1"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(proxies.client_of(boost::asio::ip::make_address(std::string(row.peer)), row.forwarded), row.client)
        << row.name;
}

TEST(TrustedProxiesParse, WhatIsNoNetwork_IsRefused) {
  EXPECT_TRUE(TrustedProxies::parse(""));
  for (const auto* bad :
       {"proxy.example", "10.0.0.0/33", "10.0.0.0/0", "10.0.0.0/", "10.0.0.0/8,,", "::/129", "10.0.0.0/8 x"})
    EXPECT_FALSE(TrustedProxies::parse(bad)) << bad;
}

}  // namespace
}  // namespace scheduler::api
