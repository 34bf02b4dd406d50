// database/sqlite/row_set.hpp — rows of this program as a table of a statement: one statement for a whole batch.
//
//   RowSet ended;
//   for (const auto& it : reports) ended.add(it.run, it.token, it.ended_at);
//   connection.execute("UPDATE task_runs SET ended_at = c3 FROM rows(?1) WHERE id = c1 AND token = c2", ended);
//
// A statement costs SQLite several microseconds before it touches a row, a row of a batch a fraction of one. The
// columns are c1, c2, … c20; rows come in the order in which they were added. Texts are not copied: they and the set
// must live until the statement has run.
#pragma once

#include "database/sqlite/cell.hpp"

#include <array>
#include <cassert>
#include <vector>

struct sqlite3;

namespace scheduler::database::sqlite {

class RowSet {
 public:
  static constexpr std::size_t kColumnsMax = 20;

  template <class... Values>
  void add(const Values&... values) {
    static_assert(sizeof...(Values) >= 1 && sizeof...(Values) <= kColumnsMax);
    assert((width_ == 0 || width_ == sizeof...(Values)) && "all rows of a set have the same columns");
    width_ = sizeof...(Values);
    (cells_.push_back(cell_of(values)), ...);
  }
  void clear() { cells_.clear(); }

  [[nodiscard]] bool empty() const { return cells_.empty(); }
  [[nodiscard]] std::size_t size() const { return width_ == 0 ? 0 : cells_.size() / width_; }
  // Null for a column that the rows do not have. `column` counts from 0.
  [[nodiscard]] Cell at(std::size_t row, std::size_t column) const {
    return column < width_ ? cells_[row * width_ + column] : Cell{};
  }

 private:
  std::size_t width_ = 0;
  std::vector<Cell> cells_;
};

// A set of one column.
template <class Values>
[[nodiscard]] RowSet column_of(const Values& values) {
  RowSet rows;
  for (const auto& value : values) rows.add(value);
  return rows;
}

// Makes `rows` known to the connection; the engine's result code.
[[nodiscard]] int register_row_sets(sqlite3* database);

}  // namespace scheduler::database::sqlite
