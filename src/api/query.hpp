// api/query.hpp — reads the query of a request: every parameter is asked for once, then finish() tells all faults.
//
//   QueryReader query(request.query);
//   const auto count = query.integer("count", 1, 1000).value_or(5);
//   CO_ENSURE(query.finish());
//
// Faults: not well encoded, out of range, unknown word, given twice, and parameters that nobody asked for.
#pragma once

#include "application/ports/paging.hpp"
#include "core/enum_names.hpp"
#include "core/ids.hpp"
#include "core/time.hpp"
#include "errors/result.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::api {

class QueryReader {
 public:
  explicit QueryReader(std::string_view query);

  std::optional<std::string> text(std::string_view name);  // not empty
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t min, std::int64_t max);
  std::optional<TimePoint> instant(std::string_view name);
  std::optional<std::pair<std::string, std::string>> label(std::string_view name);  // "key:value"
  template <class E>
  std::optional<E> word(std::string_view name) {
    static constexpr auto kNames = enum_names(E{});
    if (const auto index = word_index(name, kNames, known_names<E>())) return static_cast<E>(*index);
    return std::nullopt;
  }

  // `page` and `page_size`, or `cursor` and `limit`.
  struct PageRequest {
    application::Paging paging;
    std::optional<std::int64_t> page;  // set: by page, not by cursor
  };
  PageRequest page();

  void fault(std::string_view name, std::string message);
  // Validation with all faults.
  [[nodiscard]] SchedulerResult<void> finish();

 private:
  struct Parameter {
    std::string name, value;
  };
  std::optional<std::size_t> word_index(std::string_view name, std::span<const std::string_view> names,
                                        const std::string& known);

  std::vector<Parameter> given_;
  std::vector<std::string_view> asked_;
  std::vector<FieldError> faults_;
};

// Whole decimal digits in [min, max]: no sign but '-', no spaces, nothing after them.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t min, std::int64_t max);

inline constexpr std::int64_t kIdMax = (std::int64_t{1} << 53) - 1;

}  // namespace scheduler::api
