#include "database/sqlite/database.hpp"

#include "core/log.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <atomic>
#include <cassert>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace scheduler::database::sqlite {
namespace {

using Resume = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;

// A call, and the coroutine that goes on when it is done. Its executor is kept running until then.
struct Waiting {
  Call* call;
  Resume resume;
  asio::executor_work_guard<asio::any_io_executor> work;
  std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
};
using Batch = std::vector<std::unique_ptr<Waiting>>;

// The guard stays here until post() has returned: else the loop could run out of work, end and be destroyed while
// post() is still inside it.
void let_go_on(std::unique_ptr<Waiting> waiting) {
  const auto work = std::move(waiting->work);
  asio::post(work.get_executor(), [waiting = std::move(waiting)]() mutable {
    auto resume = std::move(waiting->resume);
    waiting.reset();
    std::move(resume)();
  });
}

// The bounded queue in front of one or more threads.
class Lane {
 public:
  explicit Lane(std::size_t size_max, Millis patience = Millis{0}) : size_max_(size_max), patience_(patience) {}

  // Waits for `call` to be done; refuses it when there is no room.
  asio::awaitable<void> pass(Call& call, Urgency urgency = Urgency::urgent) {
    if (const auto refused = reserve(); !refused) {
      call.refuse(refused.error());
      co_return;
    }
    const auto executor = co_await asio::this_coro::executor;
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [this, &call, urgency, &executor](Resume resume) {
          enqueue(std::make_unique<Waiting>(Waiting{&call, std::move(resume), asio::make_work_guard(executor)}),
                  urgency);
        },
        asio::use_awaitable);
  }

  // Waits for at least one call, takes at most `max`; empty when the lane is closed and everything accepted was taken.
  Batch take(std::size_t max) {
    std::unique_lock lock(mutex_);
    news_.wait(lock, [&] { return size() > 0 || (closed_ && reserved_ == 0); });
    Batch batch;
    const bool enough_patience =
        !patient_.empty() && std::chrono::steady_clock::now() - patient_.front()->since >= patience_;
    if (urgent_.empty() || enough_patience) move(patient_, batch, max);
    move(urgent_, batch, max);
    return batch;
  }

  // True when nobody has asked for anything for `patience`.
  bool is_quiet_for(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    return !news_.wait_for(lock, patience, [&] { return size() > 0 || closed_; });
  }

  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    news_.notify_all();
  }

 private:
  using Queue = std::deque<std::unique_ptr<Waiting>>;

  [[nodiscard]] std::size_t size() const { return urgent_.size() + patient_.size(); }

  static void move(Queue& from, Batch& to, std::size_t max) {
    for (; !from.empty() && to.size() < max; from.pop_front()) to.push_back(std::move(from.front()));
  }

  SchedulerResult<void> reserve() {
    const std::lock_guard lock(mutex_);
    if (closed_) return fail(ErrorKind::Unavailable, "the database is closing");
    if (size() + reserved_ >= size_max_)
      return fail(ErrorKind::Unavailable,
                  fmt::format("the database has {} jobs waiting and takes no more now; try again", size_max_));
    ++reserved_;
    return {};
  }

  void enqueue(std::unique_ptr<Waiting> waiting, Urgency urgency) {
    const std::lock_guard lock(mutex_);
    --reserved_;
    (urgency == Urgency::urgent ? urgent_ : patient_).push_back(std::move(waiting));
    news_.notify_one();
  }

  const std::size_t size_max_;
  const Millis patience_;
  std::mutex mutex_;
  std::condition_variable news_;
  Queue urgent_, patient_;
  std::size_t reserved_ = 0;  // accepted, and about to be enqueued
  bool closed_ = false;
};

// Runs one job of a group so that its failure undoes nothing but itself. Error: the whole transaction is lost.
SchedulerResult<void> run_guarded(Connection& connection, Call& call) {
  CHECK(connection.execute("SAVEPOINT job"));
  if (!call.run(connection) && connection.in_transaction()) CHECK(connection.execute("ROLLBACK TO job"));
  if (!connection.in_transaction())
    return fail(ErrorKind::Database, "the transaction was undone because a write to the database file failed");
  CHECK(connection.execute("RELEASE job"));
  return {};
}

SchedulerResult<void> run_in_one_transaction(Connection& connection, std::span<Call* const> calls) {
  TRY(auto transaction, Transaction::begin(connection, Transaction::Kind::write));
  for (auto* call : calls) CHECK(run_guarded(connection, *call));
  return transaction.commit();
}

// A job alone needs no savepoint: undoing it is undoing the transaction.
void run_alone(Connection& connection, Call& call, Transaction::Kind kind) {
  auto transaction = Transaction::begin(connection, kind);
  if (!transaction) return call.refuse(transaction.error());
  if (!call.run(connection)) return;
  if (const auto committed = transaction->commit(); !committed) call.refuse(committed.error());
}

void run_group(Connection& connection, std::span<Call* const> calls) {
  if (calls.size() == 1) return run_alone(connection, *calls[0], Transaction::Kind::write);
  if (const auto done = run_in_one_transaction(connection, calls); !done)
    for (auto* call : calls) call->refuse(done.error());
}

// Moving the log into the file takes tens of milliseconds: it waits for a quiet moment, until the log is large.
constexpr std::chrono::milliseconds kQuiet{20};
constexpr int kQuietLogPages = 1'000;  // 4 MiB
constexpr int kLogPagesMax = 16'384;   // 64 MiB

}  // namespace

struct Database::Impl {
  explicit Impl(Options given)
      : options(std::move(given)), writes(options.queue_max, options.patience), reads(options.queue_max) {}
  ~Impl() {
    writes.close();
    reads.close();
    for (auto& thread : threads) thread.join();
  }

  SchedulerResult<void> start() {
    TRY(write_connection, Connection::open(options.path, Connection::Access::read_write, options.synchronous));
    if (options.prepare) CHECK(options.prepare(*write_connection));
    if (options.mode == Mode::inline_) return {};
    for (std::size_t i = 0; i < options.readers; ++i) {
      TRY(auto connection, Connection::open(options.path, Connection::Access::read_only));
      read_connections.push_back(std::move(connection));
    }
    write_connection->take_over_checkpoints();
    threads.emplace_back([this] { write_all(); });
    for (auto& connection : read_connections)
      threads.emplace_back([this, reader = connection.get()] { read_all(*reader); });
    return {};
  }

  void write_all() {
    std::vector<Call*> calls;
    for (;;) {
      if (write_connection->log_pages() >= kQuietLogPages && writes.is_quiet_for(kQuiet)) checkpoint();
      auto batch = writes.take(options.group_max);
      if (batch.empty()) return;
      calls.clear();
      for (const auto& waiting : batch) calls.push_back(waiting->call);
      run_group(*write_connection, calls);
      commits.fetch_add(1, std::memory_order_relaxed);
      for (auto& waiting : batch) let_go_on(std::move(waiting));
      if (write_connection->log_pages() >= kLogPagesMax) checkpoint();
    }
  }

  // A log that could not be moved keeps growing and holds everything: the next try is soon.
  void checkpoint() {
    if (const auto done = write_connection->checkpoint(); !done)
      log::warning("checkpoint failed; it will be tried again", {{"why", done.error().message}});
  }

  void read_all(Connection& connection) {
    for (auto batch = reads.take(1); !batch.empty(); batch = reads.take(1)) {
      run_alone(connection, *batch.front()->call, Transaction::Kind::read);
      let_go_on(std::move(batch.front()));
    }
  }

  void write_inline(Call& call) {
    run_alone(*write_connection, call, Transaction::Kind::write);
    commits.fetch_add(1, std::memory_order_relaxed);
  }

  // The only connection may write: whether the job did is seen afterwards. (PRAGMA query_only would have SQLite prepare
  // every statement anew.)
  void read_inline(Call& call) {
    auto transaction = Transaction::begin(*write_connection, Transaction::Kind::read);
    if (!transaction) return call.refuse(transaction.error());
    const auto before = write_connection->total_changes();
    if (!call.run(*write_connection)) return;
    if (write_connection->total_changes() != before)
      return call.refuse({ErrorKind::Database, "a job that may only read has written; nothing of it is kept"});
    if (const auto committed = transaction->commit(); !committed) call.refuse(committed.error());
  }

  const Options options;
  std::unique_ptr<Connection> write_connection;
  std::vector<std::unique_ptr<Connection>> read_connections;
  Lane writes, reads;
  std::atomic<std::uint64_t> commits = 0;
  std::vector<std::thread> threads;
};

SchedulerResult<std::unique_ptr<Database>> Database::open(Options options) {
  assert(options.readers >= 1 && options.queue_max >= 1 && options.group_max >= 1);
  if (options.mode == Mode::threaded && options.path == ":memory:")
    return fail(ErrorKind::Config, "a database in memory cannot be shared between threads; name a file");
  auto impl = std::make_unique<Impl>(std::move(options));
  CHECK(impl->start());
  return std::unique_ptr<Database>(new Database(std::move(impl)));
}

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

const std::string& Database::path() const { return impl_->options.path; }
std::uint64_t Database::commits() const { return impl_->commits.load(std::memory_order_relaxed); }

asio::awaitable<void> Database::pass_to_writer(Call& call, Urgency urgency) {
  if (impl_->options.mode == Mode::threaded)
    co_await impl_->writes.pass(call, urgency);
  else
    impl_->write_inline(call);
}

asio::awaitable<void> Database::pass_to_reader(Call& call) {
  if (impl_->options.mode == Mode::threaded)
    co_await impl_->reads.pass(call);
  else
    impl_->read_inline(call);
}

}  // namespace scheduler::database::sqlite
