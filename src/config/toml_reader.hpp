// config/toml_reader.hpp — TOML text as a flat list of settings with their lines. The only file that knows the parser.
#pragma once

#include "config/settings.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace scheduler::config {

struct Entry {
  std::string key;  // dotted, as written; not necessarily a known one: an unknown empty table holds an empty map
  Value value;
  int line = 0;
};

// Error: Config, "FILE:LINE: …" for text that is not TOML.
[[nodiscard]] SchedulerResult<std::vector<Entry>> read_toml(std::string_view text, const std::string& file);

}  // namespace scheduler::config
