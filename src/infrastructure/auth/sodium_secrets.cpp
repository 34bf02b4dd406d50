#include "infrastructure/auth/sodium_secrets.hpp"

#include <sodium.h>

#include <cstdio>
#include <cstdlib>

namespace scheduler::infrastructure {
namespace {

unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }
const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

constexpr int kBase64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

}  // namespace

void start_sodium() {
  if (sodium_init() >= 0) return;
  std::fputs("libsodium cannot start: the system offers no randomness\n", stderr);
  std::abort();
}

std::string to_hex(std::string_view bytes) {
  std::string hex(2 * bytes.size() + 1, '\0');
  sodium_bin2hex(hex.data(), hex.size(), bytes_of(bytes), bytes.size());
  hex.pop_back();
  return hex;
}

std::optional<std::string> from_hex(std::string_view hex, std::size_t size) {
  std::string bytes(size, '\0');
  std::size_t got = 0;
  const bool read = hex.size() == 2 * size &&
                    sodium_hex2bin(bytes_of(bytes), size, hex.data(), hex.size(), nullptr, &got, nullptr) == 0;
  if (!read || got != size || to_hex(bytes) != hex) return std::nullopt;
  return bytes;
}

std::string to_base64url(std::string_view bytes) {
  std::string text(sodium_base64_encoded_len(bytes.size(), kBase64), '\0');
  sodium_bin2base64(text.data(), text.size(), bytes_of(bytes), bytes.size(), kBase64);
  text.pop_back();
  return text;
}

std::optional<std::string> from_base64url(std::string_view text) {
  std::string bytes(text.size(), '\0');
  std::size_t got = 0;
  if (sodium_base642bin(bytes_of(bytes), bytes.size(), text.data(), text.size(), nullptr, &got, nullptr, kBase64) != 0)
    return std::nullopt;
  bytes.resize(got);
  return bytes;
}

SodiumSecrets::SodiumSecrets() { start_sodium(); }

std::string SodiumSecrets::draw() {
  std::string bytes(32, '\0');
  randombytes_buf(bytes.data(), bytes.size());
  return to_base64url(bytes);
}

std::string SodiumSecrets::draw_id() {
  std::string bytes(8, '\0');
  randombytes_buf(bytes.data(), bytes.size());
  return to_hex(bytes);
}

std::string SodiumSecrets::digest(std::string_view secret) const {
  std::string hash(crypto_generichash_BYTES, '\0');
  crypto_generichash(bytes_of(hash), hash.size(), bytes_of(secret), secret.size(), nullptr, 0);
  return to_hex(hash);
}

bool SodiumSecrets::same(std::string_view a, std::string_view b) const {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace scheduler::infrastructure
