#include "cli/session.hpp"

#include "cli/text.hpp"
#include "core/utf8.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <istream>
#include <ostream>
#include <sstream>
#include <thread>

namespace scheduler::cli {
namespace {

constexpr std::string_view kDefaultUrl = "http://127.0.0.1:8080";

Outcome<std::string> checked_url(std::string url, std::string_view source) {
  while (url.ends_with('/')) url.pop_back();
  const auto scheme = url.starts_with("http://") ? 7u : url.starts_with("https://") ? 8u : 0u;
  const bool clean = std::ranges::all_of(url, [](char c) { return c > ' ' && c < 0x7f && c != '?' && c != '#'; });
  if (scheme == 0 || url.size() == scheme || !clean)
    return failed(Exit::usage, fmt::format("{}: '{}' is not a URL of a scheduler; write it like {}", source,
                                           one_line(url), kDefaultUrl));
  return url;
}

}  // namespace

Output Session::output() const {
  const bool colour = ports.out_is_terminal && !no_colour && !variable("NO_COLOR");
  return {ports.out, format == "json" ? Format::json : format == "yaml" ? Format::yaml : Format::table, colour};
}

Outcome<std::string> Session::url() const {
  const auto from_environment = variable("SCHEDULER_API_URL");
  return checked_url(api_url ? *api_url : from_environment.value_or(std::string(kDefaultUrl)),
                     api_url ? "--api-url" : "SCHEDULER_API_URL");
}

Outcome<ApiClient> Session::api() const {
  TRY(auto at, url());
  TRY(auto key, given_key());
  if (!key.empty()) return ApiClient(std::move(at), std::move(key));
  auto token = [this, at]() { return access_token(at); };
  return ApiClient(std::move(at), std::move(token));
}

Outcome<std::string> Session::given_key() const {
  auto key = api_key ? *api_key : variable("SCHEDULER_API_KEY").value_or("");
  if (const auto file = api_key_file ? api_key_file : api_key ? std::nullopt : variable("SCHEDULER_API_KEY_FILE")) {
    TRY(key, read_file(*file));
    while (key.ends_with('\n') || key.ends_with('\r')) key.pop_back();
  }
  // A line break would end the header and begin another.
  if (!std::ranges::all_of(key, [](char c) { return c > ' ' && c < 0x7f; }))
    return failed(Exit::usage,
                  "the API key holds a space, a line break or a character outside ASCII; check where it comes from");
  return key;
}

// The lock of the file is held until the new tokens are in it: a refresh token works once.
Outcome<std::string> Session::access_token(const std::string& at) const {
  constexpr Seconds kEarly{30};
  const auto path = TokenFile::path_from(ports.environment);
  std::error_code ec;
  if (!path || !std::filesystem::exists(*path, ec)) return std::string();
  TRY(auto file, TokenFile::open(*path));
  const auto* login = file.find(at);
  if (login == nullptr) return std::string();
  if (login->expires_at - kEarly > ports.clock.now()) return login->access_token;
  const auto tokens =
      ApiClient(at, "").send("POST", "/auth/refresh", json::object{{"refresh_token", login->refresh_token}});
  if (!tokens && tokens.error().exit == Exit::auth) {
    if (auto erased = file.erase(at); !erased) return std::unexpected(erased.error());
    return failed(Exit::auth, "your login has ended; log in again with scheduler-cli auth login");
  }
  if (!tokens) return std::unexpected(tokens.error());
  auto next = login_of(*this, login->username, *tokens);
  auto token = next.access_token;
  if (auto kept = file.put(at, std::move(next)); !kept) return std::unexpected(kept.error());
  return token;
}

StoredLogin login_of(const Session& session, std::string username, const json::value& tokens) {
  const auto* seconds = member_of(tokens, "expires_in_seconds");
  const auto life = seconds && seconds->is_int64() ? Seconds{seconds->get_int64()} : Seconds{0};
  return {.username = std::move(username),
          .access_token = member_text(tokens, "access_token"),
          .refresh_token = member_text(tokens, "refresh_token"),
          .expires_at = session.ports.clock.now() + life};
}

std::optional<std::string> Session::variable(const std::string& name) const {
  const auto it = ports.environment.find(name);
  if (it == ports.environment.end() || it->second.empty()) return std::nullopt;
  return it->second;
}

Outcome<std::string> Session::read_file(const std::string& path) const {
  std::ostringstream text;
  if (path == "-") {
    text << ports.in.rdbuf();
    return std::move(text).str();
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return failed(Exit::usage, fmt::format("'{}' cannot be read: {}", path, std::strerror(errno)));
  text << file.rdbuf();
  if (file.bad() || errno == EISDIR) return failed(Exit::usage, fmt::format("'{}' cannot be read", path));
  return std::move(text).str();
}

void Session::talk(std::string_view line) const { ports.err << with_hidden_escaped(line, U"\n") << '\n'; }

void Session::sleep(Millis duration) const {
  if (ports.sleep)
    ports.sleep(duration);
  else
    std::this_thread::sleep_for(duration);
}

std::vector<Option> common_options(Session& session) {
  return {
      {.names = "-o,--output",
       .value = "FORMAT",
       .doc = "table (for people), json or yaml (the API's data)",
       .into = &session.format,
       .words = {"table", "json", "yaml"}},
      {.names = "--api-url",
       .value = "URL",
       .doc = "the scheduler; else SCHEDULER_API_URL, else http://127.0.0.1:8080",
       .into = &session.api_url},
      {.names = "--api-key",
       .value = "KEY",
       .doc = "the key that is sent; other users of this machine can see it here, so a file is better",
       .into = &session.api_key},
      {.names = "--api-key-file",
       .value = "FILE",
       .doc = "holds the key that is sent; else SCHEDULER_API_KEY_FILE or SCHEDULER_API_KEY, else the login",
       .into = &session.api_key_file},
      {.names = "--no-color", .value = {}, .doc = "no colours, as with NO_COLOR", .into = &session.no_colour},
  };
}

}  // namespace scheduler::cli
