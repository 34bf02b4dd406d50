// api/client_address.hpp — the address that asks: the peer's, or what a proxy that we trust says about it.
//
// X-Forwarded-For is a list that each proxy adds to on the right. Read from there, the first address that is no trusted
// proxy is the client: everything left of it the client may have written itself.
#pragma once

#include "errors/result.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace boost::asio::ip {
class address;
}

namespace scheduler::api {

class TrustedProxies {
 public:
  // "10.0.0.0/8, ::1"; empty: none. Error: Config.
  [[nodiscard]] static SchedulerResult<TrustedProxies> parse(std::string_view list);

  // As text; of an IPv6 address its /64, which one client has all of.
  [[nodiscard]] std::string client_of(const boost::asio::ip::address& peer,
                                      std::optional<std::string_view> forwarded_for) const;

 private:
  struct Network {
    std::vector<unsigned char> bytes;
    unsigned bits = 0;
  };
  [[nodiscard]] bool trusts(const boost::asio::ip::address& address) const;
  std::vector<Network> networks_;
};

}  // namespace scheduler::api
