#include "cli/output.hpp"

#include "cli/text.hpp"
#include "core/utf8.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <ostream>

namespace scheduler::cli {
namespace {

std::string_view colour_of(std::string_view state) {
  for (const std::string_view good : {"succeeded", "alive", "active", "ok"})
    if (state == good) return "\x1b[32m";
  for (const std::string_view bad : {"failed", "timed_out", "dead", "lost", "unavailable"})
    if (state == bad) return "\x1b[31m";
  for (const std::string_view attention : {"cancelled", "skipped", "paused", "draining", "degraded"})
    if (state == attention) return "\x1b[33m";
  return "";
}

// Widths leave the colours out.
std::string padded(const std::string& text, std::string_view plain, std::size_t width) {
  const auto missing = width - std::min(width, width_of(plain));
  return text + std::string(missing, ' ');
}

std::string head_of(std::string_view member) {
  auto head = one_line(member);
  std::ranges::replace(head, '_', ' ');
  return head;
}

}  // namespace

void Output::data(const json::value& value) const {
  if (format_ == Format::json)
    out_ << indented_json(value) << '\n';
  else
    out_ << yaml_of(value);
}

std::string Output::cell(std::string_view member, const json::value& value) const {
  if (member.ends_with("_ms") && value.is_number())
    return duration_text(Millis{static_cast<std::int64_t>(value.to_number<double>())});
  return cell_of(value);
}

void Output::one(const json::value& value) const {
  const auto* object = value.if_object();
  if (!is_table() || !object) {
    if (is_table())
      out_ << cell_of(value) << '\n';
    else
      data(value);
    return;
  }
  std::size_t width = 0;
  for (const auto& [key, item] : *object) width = std::max(width, width_of(head_of(key)));
  for (const auto& [key, item] : *object) {
    const auto plain = cell(key, item);
    const std::string_view colour = colour_ && (key == "state" || key == "status") ? colour_of(plain) : "";
    const auto head = head_of(key);
    out_ << padded(head, head, width) << "  " << colour << plain << (colour.empty() ? "" : "\x1b[0m") << '\n';
  }
}

void Output::list(const json::value& whole, const json::array& items, const std::vector<Column>& columns) const {
  if (!is_table()) return data(whole);
  if (items.empty()) return;
  std::vector<std::vector<std::string>> rows;
  std::vector<std::size_t> widths;
  for (const auto& column : columns) widths.push_back(width_of(column.head));
  for (const auto& item : items) {
    auto& row = rows.emplace_back();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const auto* object = item.if_object();
      const auto* member = object ? object->if_contains(columns[i].member) : nullptr;
      row.push_back(member ? cell(columns[i].member, *member) : "-");
      widths[i] = std::max(widths[i], width_of(row.back()));
    }
  }
  const auto print = [&](const auto& cells, bool is_head) {
    std::string line;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const std::string plain(cells[i]);
      const bool is_state = columns[i].member == "state" || columns[i].member == "status";
      const std::string_view colour = !colour_ ? "" : is_head ? "\x1b[1m" : is_state ? colour_of(plain) : "";
      const auto shown = fmt::format("{}{}{}", colour, plain, colour.empty() ? "" : "\x1b[0m");
      line += i + 1 == columns.size() ? shown : padded(shown, plain, widths[i]) + "  ";
    }
    out_ << line << '\n';
  };
  std::vector<std::string> heads;
  for (const auto& column : columns) heads.emplace_back(column.head);
  print(heads, true);
  for (const auto& row : rows) print(row, false);
}

void Output::text(const json::value& value, std::string_view text) const {
  if (is_table())
    out_ << text;
  else
    data(value);
}

void Output::event(const json::value& value) const {
  if (format_ == Format::yaml)
    out_ << "---\n" << yaml_of(value);
  else
    out_ << with_hidden_escaped(json::serialize(value)) << '\n';
  out_.flush();
}

}  // namespace scheduler::cli
