// support/postgres_schema.hpp — a schema of one test on the private PostgreSQL server, dropped with all that is in it.
#pragma once

#include "database/postgres/connection.hpp"
#include "support/run_async.hpp"
#include "support/services.hpp"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <unistd.h>

namespace scheduler::testing_support {

class PostgresSchema {
 public:
  // `server`: as service_url("POSTGRES") gives it.
  explicit PostgresSchema(std::string server) : server_(std::move(server)) { on_server("CREATE SCHEMA " + name_); }
  ~PostgresSchema() { on_server(fmt::format("DROP SCHEMA IF EXISTS {} CASCADE", name_)); }
  PostgresSchema(const PostgresSchema&) = delete;
  PostgresSchema& operator=(const PostgresSchema&) = delete;

  // Connections to this URL work in the schema.
  [[nodiscard]] std::string url() const { return fmt::format("{}?options=-csearch_path%3D{}", server_, name_); }
  [[nodiscard]] const std::string& name() const { return name_; }

  void on_server(const std::string& sql) const {
    using database::postgres::Connection;
    using database::postgres::ConnectionOptions;
    const auto done = run_async([](std::string url, std::string script) -> Async<void> {
      const ConnectionOptions options{.url = std::move(url)};
      CO_TRY(const auto connection, Connection::open(options));
      co_return co_await connection->execute_script(std::move(script), std::chrono::seconds{30});
    }(server_, sql));
    if (!done) throw std::runtime_error(done.error().message);
  }

 private:
  static std::string new_name() {
    static std::atomic<int> made = 0;
    return fmt::format("test_{}_{}", ::getpid(), ++made);
  }

  std::string server_;
  std::string name_ = new_name();
};

}  // namespace scheduler::testing_support
