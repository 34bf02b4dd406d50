#include "config/settings.hpp"

#include <fmt/format.h>

namespace scheduler::config {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out.append({'\\', c});
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\u{:04x}", byte);
    else
      out += c;
  }
  return out + '"';
}

// What libpq and brokers take as a secret behind the '?': password=, sslpassword=, and whatever else says it is one.
std::string without_query_secrets(std::string url) {
  for (auto begin = url.find('?'); begin < url.size();) {
    const auto end = std::min(url.find('&', begin + 1), url.size());
    const auto equals = url.find('=', begin);
    if (equals < end && std::string_view(url).substr(begin, equals - begin).contains("pass")) {
      url.replace(equals + 1, end - equals - 1, "***");
      begin = url.find('&', equals);
    } else {
      begin = end;
    }
  }
  return url;
}

// user:password@ in a URL becomes user:***@. A password may hold an '@' itself: the last one ends it.
std::string redacted(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == url.npos) return std::string(url);
  const auto at = url.rfind('@');
  const auto colon = url.find(':', scheme + 3);
  if (at == url.npos || colon == url.npos || colon > at) return without_query_secrets(std::string(url));
  return without_query_secrets(fmt::format("{}***{}", url.substr(0, colon + 1), url.substr(at)));
}

std::string written(AppConfig& config, const Flag& flag) { return flag.in(config) ? "true" : "false"; }
std::string written(AppConfig& config, const Number& number) { return std::to_string(number.in(config)); }
std::string written(AppConfig& config, const Text& text) {
  const auto& value = text.in(config);
  return quoted(text.secret && !value.empty() ? "***" : redacted(value));
}
std::string written(AppConfig& config, const WordList& list) {
  std::string out;
  for (const auto& word : list.in(config)) out += (out.empty() ? "" : ", ") + quoted(word);
  return "[" + out + "]";
}
std::string written(AppConfig& config, const LabelMap& labels) {
  std::string out;
  for (const auto& [key, value] : labels.in(config))
    out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", quoted(key), quoted(value));
  return out.empty() ? "{}" : "{ " + out + " }";
}

std::string doc_line(const Setting& setting) {
  const auto allowed = allowed_values(setting);
  return fmt::format("# {}{}\n", setting.doc, allowed.empty() ? "" : fmt::format(" ({})", allowed));
}

std::string write_toml(AppConfig config, bool with_docs) {
  std::string out, table;
  for (const auto& setting : settings()) {
    const auto dot = setting.key.rfind('.');
    const auto its_table = dot == setting.key.npos ? std::string_view() : setting.key.substr(0, dot);
    if (its_table != table) out += fmt::format("\n[{}]\n", its_table);
    table = its_table;
    if (with_docs) out += doc_line(setting);
    // An empty secret would be refused when it is read: it has to be left out.
    if (const auto* text = std::get_if<Text>(&setting.shape); text && text->secret && text->in(config).empty()) {
      if (with_docs) out += fmt::format("# {} = \"\"\n", setting.key.substr(dot + 1));
      continue;
    }
    out += fmt::format("{} = {}\n", setting.key.substr(dot == setting.key.npos ? 0 : dot + 1),
                       std::visit([&](const auto& shape) { return written(config, shape); }, setting.shape));
  }
  return out;
}

}  // namespace

std::string to_toml(const AppConfig& config) { return write_toml(config, false); }

std::string example_toml() {
  return "# Every setting with its default. A line left out means the same as the line as it stands here.\n"
         "# Any of them can also be set by the environment, for example SCHEDULER_API__BIND_ADDRESS=127.0.0.1:9000\n"
         "# (SCHEDULER_API__BIND_ADDRESS_FILE=/path reads the value from a file).\n\n" +
         write_toml({}, true);
}

std::string without_password(std::string_view url) { return redacted(url); }

}  // namespace scheduler::config
