// infrastructure/store/paging_sql.hpp — pages of rows, largest id first.
#pragma once

#include "application/ports/paging.hpp"
#include "errors/result.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace scheduler::infrastructure {

// What a page asks of the rows: id < before, newest first, rows_max of them (one more than the page holds) after
// offset.
struct RowWindow {
  std::int64_t before = std::numeric_limits<std::int64_t>::max();
  int rows_max = 0;
  std::int64_t offset = 0;
};

[[nodiscard]] inline SchedulerResult<RowWindow> window_of(const application::Paging& paging) {
  const int limit = std::clamp(paging.limit, 1, 100);
  if (paging.before) return RowWindow{*paging.before, limit + 1, 0};
  if (paging.offset < 0 || paging.offset > application::kOffsetMax)
    return fail(ErrorKind::Validation,
                fmt::format("a page may begin at most {} rows from the top; follow the cursor to go deeper",
                            application::kOffsetMax));
  return RowWindow{.rows_max = limit + 1, .offset = paging.offset};
}

// The row too many tells that there is more.
template <class T>
[[nodiscard]] application::Page<T> page_of(std::vector<T> rows, const RowWindow& window) {
  application::Page<T> page;
  const bool more = rows.size() == static_cast<std::size_t>(window.rows_max);
  if (more) rows.pop_back();
  if (more) page.next_cursor = rows.back().id.value;
  page.items = std::move(rows);
  return page;
}

}  // namespace scheduler::infrastructure
