// application/ports/paging.hpp — lists are read a page at a time, newest first (largest id first).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace scheduler::application {

// Keyset when `before` is set (the cursor of the page before), else by offset.
struct Paging {
  int limit = 20;                      // 1–100
  std::optional<std::int64_t> before;  // only ids below this one
  std::int64_t offset = 0;             // <= kOffsetMax; deeper pages need the cursor
};
// A larger offset is a Validation error.
inline constexpr std::int64_t kOffsetMax = 10'000;

template <class T>
struct Page {
  std::vector<T> items;
  std::optional<std::int64_t> next_cursor;  // set when there is more
  std::optional<std::int64_t> total;        // only where counting is cheap: never over history
};

}  // namespace scheduler::application
