// database/sqlite/connection.hpp — one connection to a SQLite file, and the statements prepared on it.
//
//   auto row = connection.query("SELECT name FROM tasks WHERE id = ?", id);
//   TRY(const bool found, row.step());
//   if (found) row.read(name);
//
// Always true:
//   - one thread at a time uses a connection and its statements; statements end before their connection;
//   - each SQL text is prepared once per connection and kept, so texts are constants, or one of a few combinations of
//     constants: values are bound, never pasted in;
//   - a fault while preparing, binding or reading a column comes out of the next step(), so that rows are read without
//     a check at each column.
#pragma once

#include "database/columns.hpp"
#include "database/sqlite/cell.hpp"
#include "database/sqlite/row_set.hpp"
#include "errors/result.hpp"

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace scheduler::database::sqlite {

// One use of a prepared statement; its destructor gives it back to the connection.
class Statement : public ReadsColumns, public ReadsValues {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // Values for ?1, ?2, …; the statement starts afresh. Texts are copied, row sets are not.
  template <class... Values>
  Statement& bind(const Values&... values) {
    restart();
    int index = 0;
    (bind_value(++index, values), ...);
    return *this;
  }

  // True: a row is there to be read. False: the end.
  [[nodiscard]] SchedulerResult<bool> step();
  // Goes on to the end. How many rows this statement changed.
  SchedulerResult<std::int64_t> run();

  // Says that the row makes no sense; comes out of the next step, of all() and of first().
  void reject(std::string why);

  // Every row through `map(Statement&) -> T`.
  template <class Map>
  [[nodiscard]] auto all(Map map) -> SchedulerResult<std::vector<std::invoke_result_t<Map, Statement&>>> {
    std::vector<std::invoke_result_t<Map, Statement&>> rows;
    for (;;) {
      TRY(const bool found, step());
      if (!found) return rows;
      rows.push_back(map(*this));
    }
  }

  // The first row through `map`, or nothing.
  template <class Map>
  [[nodiscard]] auto first(Map map) -> SchedulerResult<std::optional<std::invoke_result_t<Map, Statement&>>> {
    TRY(const bool found, step());
    if (!found) return std::nullopt;
    std::optional<std::invoke_result_t<Map, Statement&>> row(map(*this));
    CHECK(fault());
    return row;
  }

 private:
  friend class Connection;
  friend class ReadsColumns;
  using Idle = std::vector<sqlite3_stmt*>;  // of one SQL text
  Statement(sqlite3* database, sqlite3_stmt* handle, Idle* home) : database_(database), handle_(handle), home_(home) {}
  explicit Statement(SchedulerError fault) : fault_(std::move(fault)) {}

  void restart();
  [[nodiscard]] SchedulerResult<void> fault() const;
  void set_fault(int code);

  void bind_cell(int index, const Cell& cell);
  void bind_value(int index, const RowSet& rows);
  void bind_value(int index, const auto& value) { bind_cell(index, cell_of(value)); }

  [[nodiscard]] bool is_null(int column) const;
  [[nodiscard]] std::int64_t int64_at(int column) const;
  [[nodiscard]] double double_at(int column) const;
  [[nodiscard]] TimePoint instant_at(int column) const { return from_micros(int64_at(column)); }
  [[nodiscard]] std::string_view text_at(int column) const;  // valid until the next step

  sqlite3* database_ = nullptr;
  sqlite3_stmt* handle_ = nullptr;
  Idle* home_ = nullptr;
  std::optional<SchedulerError> fault_;
};

enum class Synchronous { full, normal };  // normal may lose the last commits when the power fails

class Connection {
 public:
  enum class Access { read_write, read_only };

  // Opens (read_write: or makes) the file; ":memory:" is a database of this connection alone. Error: Database, with
  // the path and what to do.
  [[nodiscard]] static SchedulerResult<std::unique_ptr<Connection>> open(const std::string& path, Access access,
                                                                         Synchronous synchronous = Synchronous::full);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  template <class... Values>
  [[nodiscard]] Statement query(std::string_view sql, const Values&... values) {
    auto statement = prepared(sql);
    statement.bind(values...);
    return statement;
  }
  // Runs to the end; how many rows it changed.
  template <class... Values>
  SchedulerResult<std::int64_t> execute(std::string_view sql, const Values&... values) {
    return query(sql, values...).run();
  }
  // Several statements without values, not kept.
  SchedulerResult<void> execute_script(const std::string& sql);

  [[nodiscard]] std::int64_t last_insert_id() const;
  [[nodiscard]] std::int64_t total_changes() const;  // rows changed since the connection was opened
  [[nodiscard]] bool in_transaction() const;

  // From here on the owner calls checkpoint(); before, a commit does it by itself at every 4,096 pages of log.
  void take_over_checkpoints();
  // Pages in the write-ahead log after the last commit; 0 before take_over_checkpoints().
  [[nodiscard]] int log_pages() const { return log_pages_; }
  // Moves the log into the database file, as far as readers allow. Not inside a transaction.
  SchedulerResult<void> checkpoint();

 private:
  explicit Connection(sqlite3* handle) : handle_(handle) {}
  Statement prepared(std::string_view sql);

  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  sqlite3* handle_;
  int log_pages_ = 0;
  std::unordered_map<std::string, Statement::Idle, TextHash, std::equal_to<>> idle_;
};

// All or nothing: what is not committed when it goes out of scope is undone.
class Transaction {
 public:
  // read: one consistent snapshot from its first statement on. write: waits for other writers first.
  enum class Kind { read, write };
  [[nodiscard]] static SchedulerResult<Transaction> begin(Connection& connection, Kind kind);

  Transaction(Transaction&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  // Durable once it has returned without an error.
  SchedulerResult<void> commit();

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

// "SQLite 3.40.1"
[[nodiscard]] std::string engine_version();

}  // namespace scheduler::database::sqlite
