// database/postgres/connection.hpp — one connection to a PostgreSQL server, in pipeline mode, on the caller's loop.
//
//   connection.send("UPDATE tasks SET status = $1 WHERE id = $2", status, id);
//   connection.send("SELECT name FROM tasks WHERE id = $1", id);
//   CO_TRY(auto results, connection.flush());        // both in one round trip
//
// Always true:
//   - one coroutine at a time uses a connection; between calls it belongs to no loop, so the next call may come from
//     another one;
//   - what is sent between two flushes is one group: it arrives together, and without BEGIN it is one transaction; when
//     a statement fails, the rest of its group is not executed and flush() returns the first error;
//   - each SQL text is prepared once per connection, in the group that first uses it, and counts as prepared only when
//     the server has said so: a group that fails on its way leaves nothing half known. Texts are constants, or one of a
//     few combinations of constants: values are parameters, never pasted in;
//   - every flush has a deadline. The server gives up a statement first (statement_timeout); a server that says nothing
//     at all makes the connection unusable;
//   - a connection that is broken, or whose server takes only reads, is not usable() and never becomes so again.
#pragma once

#include "core/async.hpp"
#include "database/postgres/values.hpp"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

struct pg_conn;

namespace scheduler::database::postgres {

struct ConnectionOptions {
  std::string url;                             // postgresql://user:password@host:port/database?…, as libpq takes it
  std::string application_name = "scheduler";  // for people who look at the server
  std::string session_script;                  // the owner's SQL at the beginning of each session
  Millis connect_timeout{5'000};               // to open a connection
  Millis call_timeout{10'000};                 // for one statement
};

class Connection {
 public:
  // Error: Unavailable while the server is away, starting, full or takes only reads; Database when it refuses us. The
  // message names host and database, never the password.
  [[nodiscard]] static Async<std::unique_ptr<Connection>> open(ConnectionOptions options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Queues one statement.
  template <class... Values>
  void send(std::string_view sql, const Values&... values) {
    send_parameters(sql, Parameters(values...));
  }
  // Sends what is queued and waits for all of it: one Rows for each send(), in order.
  [[nodiscard]] Async<std::vector<Rows>> flush();
  // Both, for a single statement.
  template <class... Values>
  [[nodiscard]] Async<Rows> query(std::string_view sql, const Values&... values) {
    send(sql, values...);
    return last_of_flush();
  }
  // Several statements without parameters, outside the pipeline, as one transaction unless they say otherwise. Without
  // the deadline of a call: `timeout` is for all of them.
  [[nodiscard]] Async<void> execute_script(std::string sql, Millis timeout);

  // Undoes the open transaction without waiting for the answer; the next flush passes over it.
  void abandon_transaction();

  // Looks at what the server has said meanwhile; does not wait.
  [[nodiscard]] bool usable();
  // Why the server counts as away; null as long as it was there, whatever it answered.
  [[nodiscard]] const SchedulerError* why_away() const { return away_ ? &*away_ : nullptr; }

  [[nodiscard]] int server_version() const;  // 150004: 15.4

 private:
  struct Wait;
  // The answers that are still to come, in order.
  struct Expected {
    enum class Kind { prepare, statement, sync } kind = Kind::statement;
    bool ignored = false;         // of an abandoned transaction
    bool* prepared = nullptr;     // Kind::prepare: becomes true with the server's word
    pg_result* result = nullptr;  // its last one so far
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  struct Prepared {
    std::string name;
    bool known = false;
    bool sent = false;  // in the group that is being queued
  };

  explicit Connection(ConnectionOptions options) : options_(std::move(options)) {}
  Async<void> connect();
  Async<void> begin_session();
  void send_parameters(std::string_view sql, const Parameters& parameters);
  Prepared& prepared(std::string_view sql, const Parameters& parameters);
  void end_group(bool ignored);
  Async<Rows> last_of_flush();
  // Drives the connection until `expected_` is empty. False: broken, or the deadline passed.
  asio::awaitable<bool> exchange(Millis timeout);
  // Takes what has arrived. False: more is to come.
  bool take_answers();
  void take_answer(pg_result* result);
  void note_failure(pg_result* result, bool ignored);
  void break_off(ErrorKind kind, std::string why);

  ConnectionOptions options_;
  pg_conn* connection_ = nullptr;
  std::unordered_map<std::string, Prepared, TextHash, std::equal_to<>> prepared_;
  std::deque<Expected> expected_;
  std::vector<Rows> results_;
  std::optional<SchedulerError> failure_;  // the first of the group that is under way
  std::optional<SchedulerError> away_;     // what broke the connection, unless that was of our own making
  bool broken_ = false;
};

// "host:port/database" of a URL, without user and password; what cannot be read is "?".
[[nodiscard]] std::string place_of(const std::string& url);

}  // namespace scheduler::database::postgres
