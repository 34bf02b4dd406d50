#include "cli/token_file.hpp"

#include "cli/json_text.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace scheduler::cli {
namespace {

std::unexpected<Failure> unusable(const std::string& path, std::string_view why) {
  return failed(Exit::error, fmt::format("the file with your logins, '{}', cannot be used: {}", path, why));
}

std::string text_in(const json::value& value, std::string_view name) {
  const auto* member = member_of(value, name);
  return member && member->is_string() ? std::string(member->get_string()) : std::string();
}

}  // namespace

std::optional<std::string> TokenFile::path_from(const std::map<std::string, std::string>& environment) {
  const auto find = [&](const char* name) -> std::optional<std::string> {
    const auto it = environment.find(name);
    // The specification wants absolute paths, and anything else ignored.
    if (it == environment.end() || !it->second.starts_with('/')) return std::nullopt;
    return it->second;
  };
  if (const auto state = find("XDG_STATE_HOME")) return *state + "/scheduler/tokens.json";
  if (const auto home = find("HOME")) return *home + "/.local/state/scheduler/tokens.json";
  return std::nullopt;
}

Outcome<TokenFile> TokenFile::open(const std::string& path) {
  std::error_code ec;  // shows when the lock is opened
  const auto directory = std::filesystem::path(path).parent_path();
  if (std::filesystem::create_directories(directory, ec))
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all, ec);
  const int lock = ::open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0 || ::flock(lock, LOCK_EX) != 0) {
    const auto why = std::strerror(errno);
    if (lock >= 0) ::close(lock);
    return unusable(path, why);
  }
  TokenFile file(path, lock);
  if (auto loaded = file.load(); !loaded) return std::unexpected(std::move(loaded).error());
  return file;
}

TokenFile::TokenFile(TokenFile&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)), logins_(std::move(other.logins_)) {}

TokenFile::~TokenFile() {
  if (lock_ >= 0) ::close(lock_);
}

const StoredLogin* TokenFile::find(const std::string& url) const {
  const auto it = logins_.find(url);
  return it == logins_.end() ? nullptr : &it->second;
}

Outcome<void> TokenFile::put(const std::string& url, StoredLogin login) {
  logins_[url] = std::move(login);
  return save();
}

Outcome<void> TokenFile::erase(const std::string& url) { return logins_.erase(url) == 0 ? Outcome<void>{} : save(); }

Outcome<void> TokenFile::load() {
  std::ifstream file(path_, std::ios::binary);
  if (!file) return {};  // nobody has logged in yet
  std::ostringstream text;
  text << file.rdbuf();
  boost::system::error_code fault;
  const auto value = json::parse(text.view(), fault);
  if (fault || !value.is_object())
    return unusable(path_, "it is not what this program wrote; remove it and log in again");
  for (const auto& [url, login] : value.get_object()) {
    const auto expires_at = parse_rfc3339(text_in(login, "expires_at"));
    logins_[std::string(url)] = {.username = text_in(login, "username"),
                                 .access_token = text_in(login, "access_token"),
                                 .refresh_token = text_in(login, "refresh_token"),
                                 .expires_at = expires_at.value_or(TimePoint{})};
  }
  return {};
}

// Written beside it and renamed, so that a full disk loses no login.
Outcome<void> TokenFile::save() const {
  json::object all;
  for (const auto& [url, it] : logins_)
    all[url] = {{"username", it.username},
                {"access_token", it.access_token},
                {"refresh_token", it.refresh_token},
                {"expires_at", format_rfc3339(it.expires_at)}};
  const auto text = json::serialize(all) + "\n";
  const auto draft = path_ + ".new";
  const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written =
      fd >= 0 && ::fchmod(fd, 0600) == 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const auto why = std::string(std::strerror(errno));
  if (fd >= 0) ::close(fd);
  if (!written) return unusable(path_, why);
  if (::rename(draft.c_str(), path_.c_str()) != 0) return unusable(path_, std::strerror(errno));
  return {};
}

}  // namespace scheduler::cli
