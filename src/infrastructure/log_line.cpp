#include "infrastructure/log_line.hpp"

#include "core/utf8.hpp"

#include <fmt/format.h>

#include <iterator>

namespace scheduler::infrastructure {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

std::string_view level_name(log::Level level) {
  switch (level) {
    case log::Level::debug:
      return "debug";
    case log::Level::info:
      return "info";
    case log::Level::warning:
      return "warning";
    case log::Level::error:
      return "error";
  }
  return "error";
}

std::string_view level_colour(log::Level level) {
  switch (level) {
    case log::Level::debug:
      return "\x1b[2m";
    case log::Level::info:
      return "\x1b[32m";
    case log::Level::warning:
      return "\x1b[33m";
    case log::Level::error:
      return "\x1b[31m";
  }
  return "";
}

void append_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const auto c = first_code_point(text);
    if (c.bytes == 0)
      out += kReplacement;
    else if (c.value == '"' || c.value == '\\')
      out.append({'\\', text.front()});
    else if (c.value == '\n')
      out += "\\n";
    else if (c.value == '\t')
      out += "\\t";
    else if (is_hidden(c.value))
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c.value));
    else
      out += text.substr(0, c.bytes);
    text.remove_prefix(std::max<std::size_t>(c.bytes, 1));
  }
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text);
  out += '"';
}

bool is_bare(std::string_view value) {
  return !value.empty() &&
         std::ranges::all_of(value, [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\\'; });
}

}  // namespace

std::string json_log_line(TimePoint at, log::Level level, std::string_view message,
                          std::span<const log::Field> fields) {
  auto out = fmt::format(R"({{"ts":"{}","level":"{}","msg":)", format_rfc3339(at), level_name(level));
  append_quoted(out, message);
  for (const auto& field : fields) {
    const bool taken = field.key == "ts" || field.key == "level" || field.key == "msg";
    out += taken ? ",\"field." : ",\"";
    append_escaped(out, field.key);
    out += "\":";
    append_quoted(out, field.value);
  }
  return out + '}';
}

std::string pretty_log_line(TimePoint at, log::Level level, std::string_view message,
                            std::span<const log::Field> fields, bool colour) {
  const auto time = at - std::chrono::floor<std::chrono::days>(at);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<Millis>(time));
  auto out = fmt::format("{:02}:{:02}:{:02}.{:03} {}{:<7}{} ", clock.hours().count(), clock.minutes().count(),
                         clock.seconds().count(), clock.subseconds().count(), colour ? level_colour(level) : "",
                         level_name(level), colour ? "\x1b[0m" : "");
  append_escaped(out, message);
  if (!fields.empty()) out += ' ';
  for (const auto& field : fields) {
    out += ' ';
    append_escaped(out, field.key);
    out += '=';
    if (is_bare(field.value))
      out += field.value;
    else
      append_quoted(out, field.value);
  }
  return out;
}

}  // namespace scheduler::infrastructure
