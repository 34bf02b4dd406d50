// database/sqlite/cell.hpp — our values as SQLite sees them.
#pragma once

#include "core/enum_names.hpp"
#include "core/ids.hpp"
#include "core/time.hpp"

#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>

namespace scheduler::database::sqlite {

struct Cell {
  enum class Kind { null, integer, real, text, constant } kind = Kind::null;  // constant: a text that lives for ever
  std::int64_t integer = 0;
  double real = 0;
  std::string_view text;
};

[[nodiscard]] inline Cell cell_of(std::integral auto value) {
  return {.kind = Cell::Kind::integer, .integer = static_cast<std::int64_t>(value)};
}
[[nodiscard]] inline Cell cell_of(double value) { return {.kind = Cell::Kind::real, .real = value}; }
[[nodiscard]] inline Cell cell_of(std::string_view text) { return {.kind = Cell::Kind::text, .text = text}; }
[[nodiscard]] inline Cell cell_of(TimePoint at) { return cell_of(to_micros(at)); }
[[nodiscard]] inline Cell cell_of(Seconds duration) { return cell_of(duration.count()); }
[[nodiscard]] inline Cell cell_of(const WorkerId& id) { return cell_of(std::string_view{id.value}); }
template <class Tag>
[[nodiscard]] Cell cell_of(Id<Tag> id) {
  return cell_of(id.value);
}
template <NamedEnum E>
[[nodiscard]] Cell cell_of(E value) {
  return {.kind = Cell::Kind::constant, .text = name_of(value)};
}
template <class T>
[[nodiscard]] Cell cell_of(const std::optional<T>& value) {
  return value ? cell_of(*value) : Cell{};
}

}  // namespace scheduler::database::sqlite
