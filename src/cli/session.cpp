#include "cli/session.hpp"

#include "cli/text.hpp"
#include "core/utf8.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
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

Outcome<ApiClient> Session::api() const {
  const auto from_environment = variable("SCHEDULER_API_URL");
  TRY(auto url, checked_url(api_url ? *api_url : from_environment.value_or(std::string(kDefaultUrl)),
                            api_url ? "--api-url" : "SCHEDULER_API_URL"));
  auto key = variable("SCHEDULER_API_KEY").value_or("");
  if (const auto file = api_key_file ? api_key_file : variable("SCHEDULER_API_KEY_FILE")) {
    TRY(key, read_file(*file));
    while (key.ends_with('\n') || key.ends_with('\r')) key.pop_back();
  }
  // A line break would end the header and begin another.
  if (!std::ranges::all_of(key, [](char c) { return c > ' ' && c < 0x7f; }))
    return failed(Exit::usage,
                  "the API key holds a space, a line break or a character outside ASCII; check where it comes from");
  return ApiClient(std::move(url), std::move(key));
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
      {.names = "--api-key-file",
       .value = "FILE",
       .doc = "holds the key that is sent; else SCHEDULER_API_KEY_FILE or SCHEDULER_API_KEY",
       .into = &session.api_key_file},
      {.names = "--no-color", .value = {}, .doc = "no colours, as with NO_COLOR", .into = &session.no_colour},
  };
}

}  // namespace scheduler::cli
