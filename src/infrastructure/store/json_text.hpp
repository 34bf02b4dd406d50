// infrastructure/store/json_text.hpp — labels and lists of words as JSON in a text column.
#pragma once

#include "domain/task.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::infrastructure {

[[nodiscard]] std::string to_json_text(const domain::Labels& labels);           // {"gpu":"yes"}
[[nodiscard]] std::string to_json_text(const std::vector<std::string>& words);  // ["http","shell"]
[[nodiscard]] std::string to_json_text(const domain::RetryOn& rules);  // {"exit_codes":[75]}; empty lists are left out
[[nodiscard]] std::optional<domain::Labels> labels_from_json(std::string_view text);  // nothing: not what we wrote
[[nodiscard]] std::optional<domain::RetryOn> retry_on_from_json(std::string_view text);
[[nodiscard]] std::optional<std::vector<std::string>> words_from_json(std::string_view text);

}  // namespace scheduler::infrastructure
