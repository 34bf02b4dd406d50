#include "infrastructure/postgres/postgres_claim.hpp"

#include "infrastructure/postgres/blocking.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {
namespace {

using database::postgres::Connection;

// The other half of the key is the schema, so that several schedulers may share a database.
constexpr int kDispatcherLock = 0x64697370;  // "disp"

Async<std::unique_ptr<Connection>> lock(std::string url) {
  CO_TRY(auto connection, Connection::open({.url = url, .application_name = "scheduler claim"}));
  const auto locked = co_await connection->execute_script(
      fmt::format("SET lock_timeout = '2s'; SELECT pg_advisory_lock({}, hashtext(current_schema()))", kDispatcherLock),
      Millis{10'000});
  if (locked) co_return connection;
  co_return fail(ErrorKind::Unavailable,
                 fmt::format("another scheduler already runs with the embedded queue on {}; processes that share a "
                             "database need a broker (message_queue.type), or a schema each",
                             database::postgres::place_of(url)));
}

}  // namespace

SchedulerResult<std::unique_ptr<StoreClaim>> PostgresClaim::take(const std::string& url) {
  TRY(auto connection, postgres::blocking(lock(url)));
  return std::unique_ptr<StoreClaim>(new PostgresClaim(std::move(connection)));
}

}  // namespace scheduler::infrastructure
