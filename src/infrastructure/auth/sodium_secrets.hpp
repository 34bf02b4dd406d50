// infrastructure/auth/sodium_secrets.hpp — random secrets and their digests, by libsodium.
#pragma once

#include "application/ports/credentials.hpp"

namespace scheduler::infrastructure {

class SodiumSecrets final : public application::Secrets {
 public:
  SodiumSecrets();
  std::string draw() override;
  std::string draw_id() override;
  [[nodiscard]] std::string digest(std::string_view secret) const override;  // BLAKE2b-256
  [[nodiscard]] bool same(std::string_view a, std::string_view b) const override;
};

// Before anything else of libsodium; again is fine. Without it there is no randomness to rely on: the process ends.
void start_sodium();

[[nodiscard]] std::string to_hex(std::string_view bytes);
// Nothing for anything but `size` bytes in lower-case hex.
[[nodiscard]] std::optional<std::string> from_hex(std::string_view hex, std::size_t size);
// RFC 4648, section 5, without padding.
[[nodiscard]] std::string to_base64url(std::string_view bytes);
// Nothing for text that to_base64url would not have written.
[[nodiscard]] std::optional<std::string> from_base64url(std::string_view text);

}  // namespace scheduler::infrastructure
