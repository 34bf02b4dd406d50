// database/postgres/database.hpp — a PostgreSQL database as a service: a bounded pool of connections, and transactions
// on them.
//
//   CO_TRY(auto tx, database.begin(Access::write));
//   tx.send("UPDATE …", …);                       // goes out with the next query or with the commit
//   CO_TRY(auto rows, tx.query("SELECT …", …));
//   CO_CHECK(tx.commit());                        // without it the transaction is undone
//
// Always true:
//   - at most connections_max connections are open; who comes while all are lent waits in line, up to acquire_timeout;
//   - a connection comes back idle or not at all: a broken one, or one whose server takes only reads, is closed,
//     and the next caller opens another;
//   - with a circuit, calls fail at once while the server is away. Away is a server to which no connection can be made,
//     that breaks one or says nothing for too long. Who waits in line when it opens is told, and idle connections are
//     closed. The probe opens a connection of its own;
//   - a read transaction is one consistent snapshot.
// Used on one loop at a time, by the thread that drives it.
#pragma once

#include "core/async.hpp"
#include "core/circuit.hpp"
#include "database/postgres/connection.hpp"

#include <memory>
#include <string>
#include <vector>

namespace scheduler::database::postgres {

struct Options {
  ConnectionOptions connection;
  std::size_t connections_max = 8;  // >= 1
  Millis acquire_timeout{10'000};   // to get a connection that others have
  std::shared_ptr<Circuit> circuit = nullptr;
};

enum class Access { read, write };

class Pool;

// A connection of the pool, given back at the end.
class Lease {
 public:
  Lease(std::shared_ptr<Pool> home, std::unique_ptr<Connection> connection, Circuit::Call call)
      : home_(std::move(home)), connection_(std::move(connection)), call_(call) {}
  Lease(Lease&&) noexcept = default;
  Lease& operator=(Lease&&) = delete;
  ~Lease();
  Connection* operator->() const { return connection_.get(); }
  explicit operator bool() const { return connection_ != nullptr; }

 private:
  std::shared_ptr<Pool> home_;
  std::unique_ptr<Connection> connection_;
  Circuit::Call call_;  // how it went shows when the connection comes back
};

class Transaction {
 public:
  Transaction(Lease lease, Access access) : lease_(std::move(lease)), access_(access) {}
  Transaction(Transaction&&) noexcept = default;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  // Queues a statement.
  template <class... Values>
  void send(std::string_view sql, const Values&... values) {
    if (!begun_) begin();
    lease_->send(sql, values...);
  }
  // Sends what is queued; one Rows for each statement since the last time, in order.
  [[nodiscard]] Async<std::vector<Rows>> flush();
  // Sends what is queued and this; the Rows of this one.
  template <class... Values>
  [[nodiscard]] Async<Rows> query(std::string_view sql, const Values&... values) {
    send(sql, values...);
    return last_of_flush();
  }
  // Sends what is queued and makes it durable. On an error of the connection it may have been made durable or not.
  [[nodiscard]] Async<void> commit();
  // The same; one Rows for each statement that was queued.
  [[nodiscard]] Async<std::vector<Rows>> finish();

 private:
  void begin();
  Async<Rows> last_of_flush();

  Lease lease_;
  Access access_;
  bool begun_ = false;         // BEGIN is queued or sent
  bool begin_queued_ = false;  // … and its answer has not come
  bool ended_ = false;
};

class Database {
 public:
  explicit Database(Options options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  [[nodiscard]] Async<Lease> acquire();
  [[nodiscard]] Async<Transaction> begin(Access access);
  // One statement, a transaction of its own.
  template <class... Values>
  [[nodiscard]] Async<Rows> query(std::string_view sql, Values... values) {
    CO_TRY(const auto lease, acquire());
    CO_TRY(auto rows, lease->query(sql, values...));
    co_return rows;
  }

  [[nodiscard]] const Options& options() const;
  [[nodiscard]] std::size_t open_connections() const;

 private:
  std::shared_ptr<Pool> pool_;  // lives until the last connection has come back
};

}  // namespace scheduler::database::postgres
