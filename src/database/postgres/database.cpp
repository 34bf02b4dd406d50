#include "database/postgres/database.hpp"

#include "core/log.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <list>
#include <optional>

namespace scheduler::database::postgres {
namespace {

using Now = std::chrono::steady_clock;

constexpr Millis kPauseMin{50};
constexpr Millis kPauseMax{1'000};

}  // namespace

class Pool : public std::enable_shared_from_this<Pool> {
 public:
  explicit Pool(Options given) : options(std::move(given)) {}

  Async<Lease> acquire();
  void take_back(std::unique_ptr<Connection> connection);

  const Options options;
  std::size_t open = 0;  // idle, lent, or about to be opened

 private:
  struct Waiter;
  Async<Lease> connect();
  Async<Lease> wait_in_line();
  // Gives the first in line `connection`, or the right to open one.
  bool serve_next(std::unique_ptr<Connection>& connection);

  std::vector<std::unique_ptr<Connection>> idle_;  // the last one was used last
  std::list<Waiter*> line_;
  Millis pause_{0};  // after the last failure to connect
  Now::time_point closed_until_;
  std::optional<SchedulerError> last_failure_;
};

// ---- lease and transaction ------------------------------------------------------------------------------------------

Lease::~Lease() {
  if (connection_) home_->take_back(std::move(connection_));
}

Transaction::~Transaction() {
  if (lease_ && begun_ && !ended_) lease_->abandon_transaction();
}

void Transaction::begin() {
  lease_->send(access_ == Access::read ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" : "BEGIN");
  begun_ = begin_queued_ = true;
}

Async<std::vector<Rows>> Transaction::flush() {
  assert(!ended_ && "the transaction goes on");
  if (!begun_) begin();
  const bool first = std::exchange(begin_queued_, false);
  CO_TRY(auto results, lease_->flush());
  if (first) results.erase(results.begin());  // of BEGIN
  co_return results;
}

Async<Rows> Transaction::last_of_flush() {
  CO_TRY(auto results, flush());
  co_return std::move(results.back());
}

Async<std::vector<Rows>> Transaction::finish() {
  send("COMMIT");
  CO_TRY(auto results, flush());
  ended_ = true;
  results.pop_back();
  co_return results;
}

Async<void> Transaction::commit() {
  CO_TRY(const auto results, finish());
  co_return SchedulerResult<void>{};
}

// ---- pool -----------------------------------------------------------------------------------------------------------

struct Pool::Waiter {
  Waiter(Pool& home, const asio::any_io_executor& executor)
      : timer(executor, home.options.acquire_timeout), home(home), place(home.line_.insert(home.line_.end(), this)) {}
  ~Waiter() {
    if (!served) home.line_.erase(place);
  }
  asio::steady_timer timer;
  Pool& home;
  std::list<Waiter*>::iterator place;
  bool served = false;                     // taken out of the line, with …
  std::unique_ptr<Connection> connection;  // … this, or the right to open one
};

Async<Lease> Pool::acquire() {
  const auto self = shared_from_this();
  while (!idle_.empty()) {
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    if (connection->usable()) co_return Lease(self, std::move(connection));
    --open;
  }
  if (open >= options.connections_max) co_return co_await wait_in_line();
  ++open;
  co_return co_await connect();
}

// The caller has counted the connection in `open`.
Async<Lease> Pool::connect() {
  if (last_failure_ && Now::now() < closed_until_) {
    take_back(nullptr);
    co_return std::unexpected(*last_failure_);
  }
  auto connection = co_await Connection::open(options.connection);
  if (connection) {
    if (last_failure_) log::info("PostgreSQL is reached again", {{"at", place_of(options.connection.url)}});
    last_failure_.reset();
    pause_ = Millis{0};
    co_return Lease(shared_from_this(), *std::move(connection));
  }
  if (!last_failure_) log::warning("PostgreSQL cannot be reached", {{"why", connection.error().message}});
  last_failure_ = connection.error();
  pause_ = std::clamp(pause_ * 2, kPauseMin, kPauseMax);
  closed_until_ = Now::now() + pause_;
  take_back(nullptr);
  co_return std::unexpected(std::move(connection).error());
}

Async<Lease> Pool::wait_in_line() {
  const auto executor = co_await asio::this_coro::executor;
  Waiter waiter(*this, executor);
  boost::system::error_code woken;
  co_await waiter.timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  if (!waiter.served)
    co_return fail(ErrorKind::Unavailable,
                   fmt::format("all {} connections to PostgreSQL were busy for {} ms; try again, or raise "
                               "database.max_connections",
                               options.connections_max, options.acquire_timeout.count()));
  if (waiter.connection) co_return Lease(shared_from_this(), std::move(waiter.connection));
  co_return co_await connect();
}

bool Pool::serve_next(std::unique_ptr<Connection>& connection) {
  if (line_.empty()) return false;
  auto& next = *line_.front();
  line_.pop_front();
  next.served = true;
  next.connection = std::move(connection);
  next.timer.cancel();
  return true;
}

// Null: it could not be opened.
void Pool::take_back(std::unique_ptr<Connection> connection) {
  if (connection && !connection->usable()) connection.reset();
  if (serve_next(connection)) return;
  if (connection)
    idle_.push_back(std::move(connection));
  else
    --open;
}

// ---- database -------------------------------------------------------------------------------------------------------

Database::Database(Options options) : pool_(std::make_shared<Pool>(std::move(options))) {
  assert(pool_->options.connections_max >= 1);
}

Async<Lease> Database::acquire() { return pool_->acquire(); }

Async<Transaction> Database::begin(Access access) {
  CO_TRY(auto lease, acquire());
  co_return Transaction(std::move(lease), access);
}

const Options& Database::options() const { return pool_->options; }
std::size_t Database::open_connections() const { return pool_->open; }

}  // namespace scheduler::database::postgres
