#include "config/toml_reader.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>

namespace scheduler::config {
namespace {

Value value_of(const toml::node& node);

Value list_of(const toml::array& array) {
  std::vector<std::string> words;
  for (const auto& item : array) {
    const auto* word = item.as_string();
    if (!word) return Foreign{"a list that holds something other than text"};
    words.push_back(word->get());
  }
  return words;
}

Value map_of(const toml::table& table) {
  std::map<std::string, std::string> words;
  for (const auto& [key, node] : table) {
    const auto* word = node.as_string();
    if (!word) return Foreign{fmt::format("a table whose '{}' is something other than text", key.str())};
    words.emplace(key.str(), word->get());
  }
  return words;
}

Value value_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::boolean:
      return node.as_boolean()->get();
    case toml::node_type::integer:
      return node.as_integer()->get();
    case toml::node_type::string:
      return node.as_string()->get();
    case toml::node_type::array:
      return list_of(*node.as_array());
    case toml::node_type::table:
      return map_of(*node.as_table());
    case toml::node_type::floating_point:
      return Foreign{"a number with a fraction"};
    default:
      return Foreign{"a date or time"};
  }
}

bool is_table_name(std::string_view key) {
  const auto tables = setting_tables();
  return std::ranges::find(tables, key) != tables.end();
}

// Tables of the settings and other tables are opened; anything else, known or not, is one entry. So is a table without
// anything in it that no setting belongs to: somebody meant something by it.
void flatten(const toml::table& table, const std::string& prefix, std::vector<Entry>& entries) {
  for (const auto& [name, node] : table) {
    const auto key = prefix + std::string(name.str());
    const auto* inner = node.as_table();
    if (inner && (is_table_name(key) || (!inner->empty() && !find_setting(key))))
      flatten(*inner, key + ".", entries);
    else
      entries.push_back({key, value_of(node), static_cast<int>(name.source().begin.line)});
  }
}

}  // namespace

SchedulerResult<std::vector<Entry>> read_toml(std::string_view text, const std::string& file) {
  try {
    const toml::table table = toml::parse(text);
    std::vector<Entry> entries;
    flatten(table, "", entries);
    std::ranges::sort(entries, {}, [](const Entry& it) { return std::pair(it.line, it.key); });
    return entries;
  } catch (const toml::parse_error& fault) {
    return fail(ErrorKind::Config,
                fmt::format("{}:{}: is not TOML: {}; correct that line (column {})", file, fault.source().begin.line,
                            fault.description(), fault.source().begin.column));
  }
}

}  // namespace scheduler::config
