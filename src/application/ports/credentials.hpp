// application/ports/credentials.hpp — what is needed of cryptography, and no more.
#pragma once

#include "application/ports/account_store.hpp"
#include "core/async.hpp"
#include "domain/account.hpp"

#include <span>
#include <string>
#include <string_view>

namespace scheduler::application {

// Slow on purpose, and bounded: at most a few passwords are worked on at once, a few wait, and the rest is refused with
// Unavailable, so that a flood of logins cannot eat the memory.
class PasswordHasher {
 public:
  virtual ~PasswordHasher() = default;
  virtual Async<std::string> hash(std::string password) = 0;
  virtual Async<bool> verify(std::string password, std::string hash) = 0;
};

// Secrets that a computer made: long and random, so that a fast digest is enough to keep.
class Secrets {
 public:
  virtual ~Secrets() = default;
  virtual std::string draw() = 0;     // 256 bits as 43 URL-safe letters
  virtual std::string draw_id() = 0;  // 16 letters and digits, for people to point at
  [[nodiscard]] virtual std::string digest(std::string_view secret) const = 0;  // hex
  // In a time that tells nothing about where they differ.
  [[nodiscard]] virtual bool same(std::string_view a, std::string_view b) const = 0;
};

// Access tokens: JWT (RFC 7519) signed with Ed25519; no other algorithm exists here.
class TokenSigner {
 public:
  virtual ~TokenSigner() = default;
  [[nodiscard]] virtual std::string sign(const domain::AccessClaims& claims) const = 0;
  [[nodiscard]] virtual const TrustedKey& own_key() const = 0;
  // The claims of a token that one of `trusted` signed; they have not been judged. InvalidToken for anything else.
  [[nodiscard]] virtual SchedulerResult<domain::AccessClaims> open(std::string_view token,
                                                                   std::span<const TrustedKey> trusted) const = 0;
};

}  // namespace scheduler::application
