#include "domain/account.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace scheduler::domain {
namespace {

constexpr std::size_t kNameBytesMax = 64, kPasswordBytesMin = 12, kPasswordBytesMax = 256;
constexpr std::size_t kKeyIdBytes = 16, kSecretBytes = 43;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// What examples, images and peers ship with: an attacker tries these first. Compared without digits and signs, so that
// "Change-Me-2026!" is one of them, and so is one that is written twice.
constexpr auto kPlaceholders = std::to_array<std::string_view>({"admin",
                                                                "administrator",
                                                                "changeit",
                                                                "changeme",
                                                                "changethis",
                                                                "default",
                                                                "example",
                                                                "examplepassword",
                                                                "letmein",
                                                                "mypassword",
                                                                "mysecret",
                                                                "pass",
                                                                "passphrase",
                                                                "password",
                                                                "placeholder",
                                                                "please",
                                                                "pleasechange",
                                                                "pleasechangeme",
                                                                "qwerty",
                                                                "qwertyuiop",
                                                                "replaceme",
                                                                "root",
                                                                "scheduler",
                                                                "secret",
                                                                "secretpassword",
                                                                "supersecret",
                                                                "test",
                                                                "testpassword",
                                                                "todo",
                                                                "topsecret",
                                                                "welcome",
                                                                "yourpassword",
                                                                "yourpasswordhere",
                                                                "yoursecret",
                                                                "xxljob",
                                                                "airflow",
                                                                "defaulttoken",
                                                                "adminpassword",
                                                                "passwordpassword",
                                                                "adminadmin"});

bool is_placeholder(std::string_view password) {
  std::string letters;
  for (const char c : lower(password))
    if (c >= 'a' && c <= 'z') letters += c;
  const auto is_repeated = [&](std::string_view word) {
    for (std::size_t at = 0; at < letters.size(); at += word.size())
      if (letters.compare(at, word.size(), word) != 0) return false;
    return !letters.empty();
  };
  return std::ranges::any_of(kPlaceholders, is_repeated);
}

std::size_t different_bytes(std::string_view text) {
  std::string seen(text);
  std::ranges::sort(seen);
  return static_cast<std::size_t>(std::ranges::unique(seen).begin() - seen.begin());
}

// 123456789012, abcdefghijkl, and the same backwards.
bool is_sequence(std::string_view text) {
  const auto steps_by = [&](int step) {
    for (std::size_t i = 1; i < text.size(); ++i) {
      const bool wraps = text[i - 1] == '9' && text[i] == '0';
      if (text[i] - text[i - 1] != step && !(step == 1 && wraps)) return false;
    }
    return true;
  };
  return steps_by(1) || steps_by(-1);
}

}  // namespace

std::optional<KeyText> parse_key_text(std::string_view text) {
  if (text.size() != kKeyPrefix.size() + kKeyIdBytes + 1 + kSecretBytes || !text.starts_with(kKeyPrefix)) return {};
  const KeyText parts{text.substr(kKeyPrefix.size(), kKeyIdBytes), text.substr(text.size() - kSecretBytes)};
  const bool plain =
      std::ranges::all_of(parts.key_id, is_letter_or_digit) &&
      std::ranges::all_of(parts.secret, [](char c) { return is_letter_or_digit(c) || c == '-' || c == '_'; });
  if (!plain || text[kKeyPrefix.size() + kKeyIdBytes] != '_') return std::nullopt;
  return parts;
}

std::optional<std::string> user_name_fault(std::string_view name) {
  const auto fits = [](char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-' || c == '@'; };
  if (!name.empty() && name.size() <= kNameBytesMax && std::ranges::all_of(name, fits)) return std::nullopt;
  return fmt::format("must be 1 to {} letters, digits, '.', '_', '-' or '@'", kNameBytesMax);
}

std::optional<std::string> password_fault(std::string_view password, std::string_view name) {
  constexpr std::size_t kDifferentMin = 5;
  if (password.empty()) return "is empty";
  if (password.size() < kPasswordBytesMin) return fmt::format("must be at least {} bytes long", kPasswordBytesMin);
  if (password.size() > kPasswordBytesMax) return fmt::format("must be at most {} bytes long", kPasswordBytesMax);
  if (is_placeholder(password)) return "is one of those that attackers try first; choose another";
  if (different_bytes(password) < kDifferentMin || is_sequence(password)) return "is too easy to guess; choose another";
  if (name.size() >= 4 && lower(password).contains(lower(name)) && password.size() < name.size() + kPasswordBytesMin)
    return "holds the name of the account; choose another";
  return std::nullopt;
}

AccessClaims claims_for(UserId user, SessionId session, std::string token_id, TimePoint now) {
  const auto second = std::chrono::floor<Seconds>(now).time_since_epoch().count();
  return {.issuer = std::string(kIssuer),
          .audience = std::string(kAudience),
          .token_id = std::move(token_id),
          .user = user,
          .session = session,
          .issued_at = second,
          .expires_at = second + kAccessTokenLife.count()};
}

std::optional<std::string> claims_fault(const AccessClaims& claims, TimePoint now) {
  constexpr std::int64_t kClockSkew = 60;
  const auto second = std::chrono::floor<Seconds>(now).time_since_epoch().count();
  if (claims.issuer != kIssuer) return "another program issued it";
  if (claims.audience != kAudience) return "it is meant for another program";
  if (claims.expires_at <= second) return "it has expired";
  if (claims.issued_at > second + kClockSkew) return "it comes from the future";
  if (claims.expires_at - claims.issued_at > kAccessTokenLife.count()) return "it lives longer than any of ours";
  return std::nullopt;
}

}  // namespace scheduler::domain
