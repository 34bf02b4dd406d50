// domain/upstream_reference.hpp — texts that name what upstream runs left: "rows=${upstream.extract.rows}".
//
//   ${upstream.NAME.key.key}    NAME is an upstream task; the keys lead into its output, digits into a list of it
//   ${upstream."my.task"."a}b"} a part with one of . } { $ or " in it stands in quotes; \" and \\ mean " and \ there
//   $${upstream.                means ${upstream. itself
//
// Nothing else in a text has a meaning here: "${HOME}", "$$" and "${upstream}" stay as they are.
#pragma once

#include "errors/result.hpp"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace scheduler::domain {

struct UpstreamReference {
  std::string task;
  std::vector<std::string> path;  // one key at least
  bool operator==(const UpstreamReference&) const = default;
};

// As a person writes it.
[[nodiscard]] std::string to_text(const UpstreamReference& reference);

using TextPart = std::variant<std::string, UpstreamReference>;

// The parts of `text` in order; texts are not empty, and no two of them are neighbours. Takes time linear in `text`.
// Error: Validation; what is wrong with a reference and at which character of the text, counted from 1.
[[nodiscard]] SchedulerResult<std::vector<TextPart>> parse_references(std::string_view text);

// Whether parse_references would find one, or one that is faulty.
[[nodiscard]] bool has_reference(std::string_view text);

}  // namespace scheduler::domain
