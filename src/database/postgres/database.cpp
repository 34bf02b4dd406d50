#include "database/postgres/database.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <cassert>
#include <list>

namespace scheduler::database::postgres {

class Pool : public std::enable_shared_from_this<Pool> {
 public:
  explicit Pool(Options given) : options(std::move(given)) {}

  void connect_circuit();
  Async<Lease> acquire();
  void take_back(std::unique_ptr<Connection> connection, Circuit::Call call);

  const Options options;
  std::size_t open = 0;  // idle, lent, or about to be opened

 private:
  struct Waiter;
  Async<Lease> connect(Circuit::Call call);
  Async<Lease> wait_in_line(Circuit::Call call);
  Async<void> probe();
  void close_idle_and_refuse_line();
  void settle(Circuit::Call call, const SchedulerError* away);
  void put_away(std::unique_ptr<Connection> connection);
  // Gives the first in line `connection`, or the right to open one.
  bool serve_next(std::unique_ptr<Connection>& connection);

  std::vector<std::unique_ptr<Connection>> idle_;  // the last one was used last
  std::list<Waiter*> line_;
};

// ---- lease and transaction ------------------------------------------------------------------------------------------

Lease::~Lease() {
  if (connection_) home_->take_back(std::move(connection_), call_);
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
  std::unique_ptr<Connection> connection;  // … this, or the right to open one,
  bool refused = false;                    // … or the word that the server is away
};

void Pool::connect_circuit() {
  if (!options.circuit) return;
  const auto weak = weak_from_this();
  options.circuit->connect(
      [weak]() -> Async<void> {
        const auto self = weak.lock();
        if (!self) co_return fail(ErrorKind::Unavailable, "the pool is closed");
        co_return co_await self->probe();
      },
      [weak] {
        if (const auto self = weak.lock()) self->close_idle_and_refuse_line();
      });
}

Async<Lease> Pool::acquire() {
  const auto self = shared_from_this();
  Circuit::Call call;
  if (options.circuit) {
    CO_UNWRAP(call, options.circuit->begin());
  }
  while (!idle_.empty()) {
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    if (connection->usable()) co_return Lease(self, std::move(connection), call);
    --open;
  }
  if (open >= options.connections_max) co_return co_await wait_in_line(call);
  ++open;
  co_return co_await connect(call);
}

// The caller has counted the connection in `open`.
Async<Lease> Pool::connect(Circuit::Call call) {
  auto connection = co_await Connection::open(options.connection);
  if (connection) co_return Lease(shared_from_this(), *std::move(connection), call);
  settle(call, &connection.error());
  put_away(nullptr);
  co_return std::unexpected(std::move(connection).error());
}

Async<Lease> Pool::wait_in_line(Circuit::Call call) {
  const auto executor = co_await asio::this_coro::executor;
  Waiter waiter(*this, executor);
  boost::system::error_code woken;
  co_await waiter.timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  if (waiter.refused) co_return co_await acquire();  // which says why
  if (!waiter.served)
    co_return fail(ErrorKind::Unavailable,
                   fmt::format("all {} connections to PostgreSQL were busy for {} ms; try again, or raise "
                               "database.max_connections",
                               options.connections_max, options.acquire_timeout.count()));
  if (waiter.connection) co_return Lease(shared_from_this(), std::move(waiter.connection), call);
  co_return co_await connect(call);
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

void Pool::take_back(std::unique_ptr<Connection> connection, Circuit::Call call) {
  settle(call, connection->why_away());
  put_away(std::move(connection));
}

void Pool::settle(Circuit::Call call, const SchedulerError* away) {
  if (options.circuit) options.circuit->end(call, away);
}

// Null: it could not be opened.
void Pool::put_away(std::unique_ptr<Connection> connection) {
  if (connection && !connection->usable()) connection.reset();
  if (serve_next(connection)) return;
  if (connection)
    idle_.push_back(std::move(connection));
  else
    --open;
}

// A connection that stands may be one that the server knows nothing of any more; a new one is none of them.
Async<void> Pool::probe() {
  const auto self = shared_from_this();
  if (open >= options.connections_max)
    co_return fail(ErrorKind::Unavailable, "every connection to PostgreSQL still waits for an answer");
  ++open;
  auto connection = co_await Connection::open(options.connection);
  put_away(connection ? *std::move(connection) : nullptr);
  if (!connection) co_return std::unexpected(connection.error());
  co_return SchedulerResult<void>{};
}

void Pool::close_idle_and_refuse_line() {
  open -= idle_.size();
  idle_.clear();
  while (!line_.empty()) {
    line_.front()->refused = true;
    std::unique_ptr<Connection> none;
    serve_next(none);
  }
}

// ---- database -------------------------------------------------------------------------------------------------------

Database::Database(Options options) : pool_(std::make_shared<Pool>(std::move(options))) {
  assert(pool_->options.connections_max >= 1);
  pool_->connect_circuit();
}

Database::~Database() {
  if (pool_->options.circuit) pool_->options.circuit->disconnect();
}

Async<Lease> Database::acquire() { return pool_->acquire(); }

Async<Transaction> Database::begin(Access access) {
  CO_TRY(auto lease, acquire());
  co_return Transaction(std::move(lease), access);
}

const Options& Database::options() const { return pool_->options; }
std::size_t Database::open_connections() const { return pool_->open; }

}  // namespace scheduler::database::postgres
