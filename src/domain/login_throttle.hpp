// domain/login_throttle.hpp — how often passwords may be tried. Nobody is ever locked out.
//
// Always true:
//   - one address may try one account five times, then once in 30 s;
//   - one address may try twenty times in all, then once in 3 s;
//   - one account may be tried thirty times from everywhere, then once a second: an attack from many addresses is slow,
//     and its owner waits a second, not a day. An address from which the account was entered lately does not wait;
//   - a login that succeeds costs nothing.
// Counted before the password is looked at, so that many tries at once are no way around it.
#pragma once

#include "domain/buckets.hpp"

#include <optional>
#include <set>

namespace scheduler::domain {

class LoginThrottle {
 public:
  // Nothing: go on. Else: how long to wait, and nothing was counted.
  [[nodiscard]] std::optional<Seconds> begin(const std::string& account, const std::string& address, Micros now);
  void succeeded(const std::string& account, const std::string& address);

 private:
  [[nodiscard]] static std::string pair(const std::string& account, const std::string& address) {
    return address + ' ' + account;
  }

  Buckets by_pair_{{.per_second = 1.0 / 30, .burst = 5}};
  Buckets by_address_{{.per_second = 1.0 / 3, .burst = 20}};
  Buckets by_account_{{.per_second = 1, .burst = 30}};
  std::set<std::string> known_;  // pairs that succeeded
};

}  // namespace scheduler::domain
