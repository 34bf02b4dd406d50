#include "infrastructure/auth/ed25519_signer.hpp"

#include "core/json_reader.hpp"
#include "infrastructure/auth/sodium_secrets.hpp"

#include <fmt/format.h>
#include <sodium.h>

#include <charconv>

namespace scheduler::infrastructure {

using application::TrustedKey;
using domain::AccessClaims;

struct JwtHeader {
  std::string alg, kid, typ;
};
BOOST_DESCRIBE_STRUCT(JwtHeader, (), (alg, kid, typ))
constexpr auto required_fields(const JwtHeader*) { return std::to_array<std::string_view>({"alg", "kid", "typ"}); }

struct JwtClaims {
  std::string aud, iss, jti, sid, sub;
  std::int64_t exp = 0, iat = 0;
};
BOOST_DESCRIBE_STRUCT(JwtClaims, (), (aud, exp, iat, iss, jti, sid, sub))
constexpr auto required_fields(const JwtClaims*) {
  return std::to_array<std::string_view>({"aud", "exp", "iat", "iss", "jti", "sid", "sub"});
}

namespace {

constexpr std::size_t kTokenBytesMax = 2048;  // ours have about 350
constexpr std::string_view kAlgorithm = "EdDSA", kType = "JWT";

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

// Nobody who forges learns from us how far they came; the log of the caller says no more either.
std::unexpected<SchedulerError> refused() {
  return fail(ErrorKind::InvalidToken, "the access token is not one of ours; log in again, or refresh it");
}

std::optional<std::int64_t> id_of(const std::string& text) {
  std::int64_t id = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (fault != std::errc{} || end != text.data() + text.size() || id < 1 || std::to_string(id) != text) return {};
  return id;
}

struct Parts {
  std::string_view signed_part, header, claims, signature;
};
std::optional<Parts> split(std::string_view token) {
  const auto first = token.find('.'), last = token.rfind('.');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  const auto claims = token.substr(first + 1, last - first - 1);
  if (claims.contains('.')) return std::nullopt;
  return Parts{token.substr(0, last), token.substr(0, first), claims, token.substr(last + 1)};
}

template <class T>
std::optional<T> read_part(std::string_view part) {
  const auto text = from_base64url(part);
  if (!text) return std::nullopt;
  auto value = parse_json_as<T>(*text);
  if (!value) return std::nullopt;
  return *std::move(value);
}

bool verify(const Parts& parts, const TrustedKey& key) {
  const auto signature = from_base64url(parts.signature);
  const auto public_key = from_hex(key.public_key, crypto_sign_PUBLICKEYBYTES);
  return signature && public_key && signature->size() == crypto_sign_BYTES &&
         crypto_sign_verify_detached(bytes_of(*signature), bytes_of(parts.signed_part), parts.signed_part.size(),
                                     bytes_of(*public_key)) == 0;
}

}  // namespace

Ed25519Signer::Ed25519Signer(std::string_view seed) : secret_key_(crypto_sign_SECRETKEYBYTES, '\0') {
  start_sodium();
  std::string public_key(crypto_sign_PUBLICKEYBYTES, '\0');
  crypto_sign_seed_keypair(reinterpret_cast<unsigned char*>(public_key.data()),
                           reinterpret_cast<unsigned char*>(secret_key_.data()), bytes_of(seed));
  own_key_ = {.kid = SodiumSecrets().digest(public_key).substr(0, 16), .public_key = to_hex(public_key)};
}

Ed25519Signer::~Ed25519Signer() { sodium_memzero(secret_key_.data(), secret_key_.size()); }

std::string Ed25519Signer::sign(const AccessClaims& claims) const {
  const auto header = fmt::format(R"({{"alg":"{}","kid":"{}","typ":"{}"}})", kAlgorithm, own_key_.kid, kType);
  const auto text = fmt::format(R"({{"aud":"{}","exp":{},"iat":{},"iss":"{}","jti":"{}","sid":"{}","sub":"{}"}})",
                                claims.audience, claims.expires_at, claims.issued_at, claims.issuer, claims.token_id,
                                claims.session.value, claims.user.value);
  auto token = to_base64url(header) + "." + to_base64url(text);
  std::string signature(crypto_sign_BYTES, '\0');
  crypto_sign_detached(reinterpret_cast<unsigned char*>(signature.data()), nullptr, bytes_of(token), token.size(),
                       bytes_of(secret_key_));
  return token.append(".").append(to_base64url(signature));
}

SchedulerResult<AccessClaims> Ed25519Signer::open(std::string_view token, std::span<const TrustedKey> trusted) const {
  if (token.size() > kTokenBytesMax) return refused();
  const auto parts = split(token);
  if (!parts) return refused();
  const auto header = read_part<JwtHeader>(parts->header);
  if (!header || header->alg != kAlgorithm || header->typ != kType) return refused();
  const auto key = std::ranges::find(trusted, header->kid, &TrustedKey::kid);
  if (key == trusted.end() || !verify(*parts, *key)) return refused();
  const auto claims = read_part<JwtClaims>(parts->claims);
  if (!claims) return refused();
  const auto user = id_of(claims->sub), session = id_of(claims->sid);
  if (!user || !session) return refused();
  return AccessClaims{.issuer = claims->iss,
                      .audience = claims->aud,
                      .token_id = claims->jti,
                      .user = {*user},
                      .session = {*session},
                      .issued_at = claims->iat,
                      .expires_at = claims->exp};
}

}  // namespace scheduler::infrastructure
