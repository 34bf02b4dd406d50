// database/sqlite/database.hpp — a SQLite file as a service: jobs go in, results come back after they are durable.
//
//   co_await database.write([id](Connection& c) -> SchedulerResult<void> { … });
//
// Always true:
//   - one thread writes. All jobs that wait when a transaction starts share its COMMIT (group commit): one caller pays
//     one commit, many callers share it, and nobody waits for a timer;
//   - a job that fails is undone alone; the others of its group are not touched;
//   - a caller goes on, on its own executor, only after the COMMIT that holds its work is durable; when that COMMIT
//     fails, every job of the group fails;
//   - a read job sees one consistent snapshot that holds all writes whose callers have gone on before it was asked for;
//   - a patient job lets others overtake it, for Options::patience at the most: what nobody waits for holds nobody up;
//   - the queues are bounded: Unavailable when full, and once the database is closing.
// Jobs are plain functions, never coroutines; they run on other threads (not in Mode::inline_) and may run late, so
// they own what they use or use what outlives the database. A job that was accepted is done: awaiting cannot be
// cancelled, and a loop with a call under way does not run out of work. A loop that is stopped and destroyed all the
// same must outlive the database.
#pragma once

#include "core/async.hpp"
#include "database/sqlite/connection.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace scheduler::database::sqlite {

enum class Mode {
  threaded,
  inline_,  // jobs run at once on the calling thread, each in a transaction of its own: for tests and simulations
};

enum class Urgency { urgent, patient };

struct Options {
  std::string path;  // ":memory:" only with Mode::inline_
  Mode mode = Mode::threaded;
  Synchronous synchronous = Synchronous::full;
  std::size_t readers = 2;                                    // threads that read, >= 1
  std::size_t queue_max = 8192;                               // jobs that may wait, for the writer and for the readers
  std::size_t group_max = 512;                                // jobs that share one COMMIT at the most
  Millis patience{20};                                        // of patient jobs
  std::function<SchedulerResult<void>(Connection&)> prepare;  // runs on the write connection first: migrations
};

// A job whose result type is forgotten. Lives in the frame of the coroutine that waits for it.
class Call {
 public:
  virtual ~Call() = default;
  virtual bool run(Connection& connection) noexcept = 0;  // false: undo it
  virtual void refuse(const SchedulerError& why) = 0;     // replaces the result
};

template <class Job>
class TypedCall final : public Call {
 public:
  using Result = std::invoke_result_t<Job&, Connection&>;
  explicit TypedCall(Job job) : job_(std::move(job)) {}
  bool run(Connection& connection) noexcept override { return result_.emplace(job_(connection)).has_value(); }
  void refuse(const SchedulerError& why) override { result_.emplace(std::unexpected(why)); }
  Result take() { return *std::move(result_); }

 private:
  Job job_;
  std::optional<Result> result_;
};

class Database {
 public:
  [[nodiscard]] static SchedulerResult<std::unique_ptr<Database>> open(Options options);
  // Finishes every job that was accepted, then joins the threads.
  ~Database();

  // `job(Connection&) -> SchedulerResult<T>`, inside a write transaction.
  template <class Job>
  asio::awaitable<typename TypedCall<Job>::Result> write(Job job, Urgency urgency = Urgency::urgent) {
    TypedCall<Job> call(std::move(job));
    co_await pass_to_writer(call, urgency);
    co_return call.take();
  }

  // The same inside a read transaction; a job that writes fails.
  template <class Job>
  asio::awaitable<typename TypedCall<Job>::Result> read(Job job) {
    TypedCall<Job> call(std::move(job));
    co_await pass_to_reader(call);
    co_return call.take();
  }

  [[nodiscard]] const std::string& path() const;
  // COMMITs of write transactions so far; fewer than write jobs when callers come together.
  [[nodiscard]] std::uint64_t commits() const;

 private:
  struct Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  asio::awaitable<void> pass_to_writer(Call& call, Urgency urgency);
  asio::awaitable<void> pass_to_reader(Call& call);

  std::unique_ptr<Impl> impl_;
};

}  // namespace scheduler::database::sqlite
