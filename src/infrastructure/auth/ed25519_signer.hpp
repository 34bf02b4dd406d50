// infrastructure/auth/ed25519_signer.hpp — access tokens as JWT, signed with Ed25519 (RFC 8037) by libsodium.
//
// Always true: the algorithm is fixed here and never taken from a token; a token is exactly three canonical base64url
// parts whose first two are JSON objects with exactly the members we write, each once.
#pragma once

#include "application/ports/credentials.hpp"

#include <memory>

namespace scheduler::infrastructure {

class Ed25519Signer final : public application::TokenSigner {
 public:
  // `seed`: 32 secret bytes (key_file.hpp).
  explicit Ed25519Signer(std::string_view seed);
  ~Ed25519Signer() override;

  [[nodiscard]] std::string sign(const domain::AccessClaims& claims) const override;
  [[nodiscard]] const application::TrustedKey& own_key() const override { return own_key_; }
  [[nodiscard]] SchedulerResult<domain::AccessClaims> open(
      std::string_view token, std::span<const application::TrustedKey> trusted) const override;

 private:
  std::string secret_key_;
  application::TrustedKey own_key_;
};

}  // namespace scheduler::infrastructure
