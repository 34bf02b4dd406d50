// infrastructure/auth/argon2_hasher.hpp — passwords by Argon2id, on threads of their own.
//
// Always true: at most `threads` hashes are computed at once, 19 MiB each, and at most `waiting_max` callers wait; the
// rest is refused at once. The loop that calls is never blocked.
#pragma once

#include "application/ports/credentials.hpp"

#include <cstddef>
#include <memory>

namespace scheduler::infrastructure {

class Argon2Hasher final : public application::PasswordHasher {
 public:
  // The least that OWASP recommends (2 passes over 19 MiB); tests make it cheaper.
  struct Settings {
    std::size_t threads = 2;
    std::size_t waiting_max = 32;
    unsigned long long passes = 2;
    std::size_t memory_bytes = 19 << 20;
  };
  explicit Argon2Hasher(Settings settings);
  ~Argon2Hasher() override;

  Async<std::string> hash(std::string password) override;
  Async<bool> verify(std::string password, std::string hash) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace scheduler::infrastructure
