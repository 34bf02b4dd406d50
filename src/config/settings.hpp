// config/settings.hpp — the table of every setting. Reading TOML, environment and flags, the example file and the dump
// all walk it, so a setting is added in two places: its struct in app_config.hpp and one row here.
#pragma once

#include "config/app_config.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace scheduler::config {

// What a setting holds: where it lives in an AppConfig, and what it may be.
struct Flag {
  bool& (*in)(AppConfig&);
};
struct Number {
  int& (*in)(AppConfig&);
  int min, max;  // inclusive
};
struct Text {
  std::string& (*in)(AppConfig&);
  std::span<const std::string_view> words = {};  // empty: any text without control characters
  bool secret = false;                           // never shown again, and not empty where it is given
};
struct WordList {
  std::vector<std::string>& (*in)(AppConfig&);
  std::span<const std::string_view> words;  // each at most once, at least one
};
struct LabelMap {
  std::map<std::string, std::string>& (*in)(AppConfig&);
};

struct Setting {
  std::string_view key;  // dotted: "worker.slots"
  std::variant<Flag, Number, Text, WordList, LabelMap> shape;
  std::string_view doc;  // one line; ranges and words are added by the writer
};

// Keys without a table first, then table by table: the order in which they are written.
[[nodiscard]] std::span<const Setting> settings();
[[nodiscard]] const Setting* find_setting(std::string_view key);

// The tables that settings are in: "worker", and not "worker.labels", which is a setting.
[[nodiscard]] std::vector<std::string_view> setting_tables();

// "; did you mean 'worker.slots'?", or where every setting is listed.
[[nodiscard]] std::string setting_hint(std::string_view unknown_key);

// The same for the name of a table: "; did you mean [worker]?".
[[nodiscard]] std::string table_hint(std::string_view unknown_table);

// A value as some source wrote it. Foreign holds the name of a kind that no setting has ("a date").
struct Foreign {
  std::string kind;
};
using Value = std::variant<bool, std::int64_t, std::string, std::vector<std::string>,
                           std::map<std::string, std::string>, Foreign>;

// Error: what is wrong and what would be right, without place and key.
[[nodiscard]] std::expected<void, std::string> assign(AppConfig& config, const Setting& setting, const Value& value);

// The value that `text` from an environment variable or a flag means: lists as a,b and labels as zone=a,disk=ssd.
[[nodiscard]] std::expected<Value, std::string> value_from_text(const Setting& setting, std::string_view text);

// "1 to 4096", "debug, info, warning or error"; empty where anything goes.
[[nodiscard]] std::string allowed_values(const Setting& setting);

}  // namespace scheduler::config
