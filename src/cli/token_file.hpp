// cli/token_file.hpp — what `auth login` keeps between commands: one login for each server, in a file (0600) that only
// its owner can read.
//
// Open, it is locked: a refresh token works once, so two commands at the same time must not both use it.
#pragma once

#include "cli/failure.hpp"
#include "core/time.hpp"

#include <map>
#include <optional>
#include <string>

namespace scheduler::cli {

struct StoredLogin {
  std::string username, access_token, refresh_token;
  TimePoint expires_at{};  // of the access token
};

class TokenFile {
 public:
  // $XDG_STATE_HOME/scheduler/tokens.json, else ~/.local/state/…; nothing: neither is known.
  [[nodiscard]] static std::optional<std::string> path_from(const std::map<std::string, std::string>& environment);
  // Waits for other commands. Failure: it cannot be read, or is not ours.
  [[nodiscard]] static Outcome<TokenFile> open(const std::string& path);

  TokenFile(TokenFile&& other) noexcept;
  TokenFile& operator=(TokenFile&&) = delete;
  ~TokenFile();

  [[nodiscard]] const StoredLogin* find(const std::string& url) const;
  [[nodiscard]] Outcome<void> put(const std::string& url, StoredLogin login);
  [[nodiscard]] Outcome<void> erase(const std::string& url);

 private:
  TokenFile(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  [[nodiscard]] Outcome<void> load();
  [[nodiscard]] Outcome<void> save() const;

  std::string path_;
  int lock_;
  std::map<std::string, StoredLogin> logins_;
};

}  // namespace scheduler::cli
