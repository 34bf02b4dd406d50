// database/columns.hpp — the columns of a row as C++ values, the same for every engine.
//
// An engine's row derives from ReadsColumns, befriends it, and says how it holds the plain kinds: is_null(column),
// int64_at, double_at, text_at (bytes), instant_at, and bigints_at where it has arrays. What makes no sense goes to
// reject(why), so that rows are read without a check at each column.
#pragma once

#include "core/enum_names.hpp"
#include "core/ids.hpp"
#include "core/time.hpp"

#include <concepts>
#include <optional>
#include <string>
#include <vector>

namespace scheduler::database {

class ReadsColumns {
 public:
  // The columns from number `column` (0 is the first) on; returns the number of the next one.
  template <class... Values>
  int read_from(this auto&& self, int column, Values&... into) {
    (self.read_value(column++, into), ...);
    return column;
  }
  template <class... Values>
  int read(this auto&& self, Values&... into) {
    return self.read_from(0, into...);
  }

 protected:
  template <std::integral T>
  void read_value(this auto&& self, int column, T& into) {
    into = static_cast<T>(self.int64_at(column));
  }
  void read_value(this auto&& self, int column, bool& into) { into = self.int64_at(column) != 0; }
  void read_value(this auto&& self, int column, double& into) { into = self.double_at(column); }
  void read_value(this auto&& self, int column, std::string& into) { into = self.text_at(column); }
  void read_value(this auto&& self, int column, TimePoint& into) { into = self.instant_at(column); }
  void read_value(this auto&& self, int column, Seconds& into) { into = Seconds{self.int64_at(column)}; }
  void read_value(this auto&& self, int column, WorkerId& into) { into.value = self.text_at(column); }
  template <class Tag>
  void read_value(this auto&& self, int column, Id<Tag>& into) {
    into.value = self.int64_at(column);
  }
  template <NamedEnum E>
  void read_value(this auto&& self, int column, E& into) {
    if (const auto parsed = parse_enum<E>(self.text_at(column)))
      into = *parsed;
    else
      self.reject("a row holds the unknown word '" + std::string(self.text_at(column)) + "': expected " +
                  known_names<E>());
  }
  template <class Tag>
  void read_value(this auto&& self, int column, std::vector<Id<Tag>>& into) {
    into.clear();
    for (const auto value : self.bigints_at(column)) into.push_back({value});
  }
  template <class T>
  void read_value(this auto&& self, int column, std::optional<T>& into) {
    if (self.is_null(column))
      into.reset();
    else
      self.read_value(column, into.emplace());
  }
};

// What a statement gives back, where it has all(map) and first(map), by its first column.
class ReadsValues {
 public:
  // Of the first row, or nothing.
  template <class T>
  [[nodiscard]] auto value(this auto&& self) {
    return self.first(kFirstColumn<T>);
  }
  // Of every row.
  template <class T>
  [[nodiscard]] auto values(this auto&& self) {
    return self.all(kFirstColumn<T>);
  }

 private:
  template <class T>
  static constexpr auto kFirstColumn = [](auto& row) {
    T value{};
    row.read(value);
    return value;
  };
};

}  // namespace scheduler::database
