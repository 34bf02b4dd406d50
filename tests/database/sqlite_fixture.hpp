// database/sqlite_fixture.hpp — a table of numbers in a file of the test's own.
#pragma once

#include "database/sqlite/database.hpp"
#include "support/run_async.hpp"
#include "support/temp_dir.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace scheduler::database::sqlite {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::run_all;
using testing_support::run_async;
using testing_support::TempDir;

template <class T>
T must(SchedulerResult<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

inline SchedulerResult<void> create_numbers(Connection& connection) {
  return connection.execute_script("CREATE TABLE IF NOT EXISTS numbers (n INTEGER PRIMARY KEY, text TEXT) STRICT");
}

inline SchedulerResult<std::int64_t> count_numbers(Connection& connection) {
  TRY(const auto count, connection.query("SELECT count(*) FROM numbers").value<std::int64_t>());
  return *count;
}

inline Async<std::int64_t> insert(Database& database, std::int64_t n) {
  return database.write(
      [n](Connection& connection) { return connection.execute("INSERT INTO numbers (n) VALUES (?)", n); });
}

inline Async<std::int64_t> count(Database& database) { return database.read(count_numbers); }

}  // namespace scheduler::database::sqlite
