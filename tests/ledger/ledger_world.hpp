// tests/ledger/ledger_world.hpp — fire loops and use cases over a real store, under a clock that a test moves.
#pragma once

#include "application/service_factory.hpp"
#include "contract/store_fixture.hpp"
#include "dispatcher/fire_loop.hpp"
#include "infrastructure/embedded_message_queue.hpp"
#include "infrastructure/postgres/postgres_store.hpp"
#include "infrastructure/sqlite/sqlite_store.hpp"
#include "infrastructure/system_time_zones.hpp"
#include "support/fake_timer.hpp"
#include "support/postgres_schema.hpp"
#include "support/recording_metrics.hpp"
#include "support/services.hpp"
#include "support/temp_dir.hpp"

#include <memory>
#include <string>
#include <utility>

namespace scheduler::ledger {

using namespace application;
using namespace std::chrono_literals;
using contract::must;
using domain::MisfirePolicy;
using domain::OverlapPolicy;
using domain::Reason;
using domain::Task;
using domain::TaskSpec;
using testing_support::FakeClock;
using testing_support::FakeTimer;
using testing_support::run_async;

template <class T>
T ok(Async<T> work) {
  return must(run_async(std::move(work)));
}

// A store with a way behind its ports.
class Ground {
 public:
  virtual ~Ground() = default;
  virtual Store& store() = 0;
  virtual void execute(std::string sql) = 0;
  virtual std::int64_t count(std::string sql) = 0;  // of a statement that gives one number
};

class SqliteGround final : public Ground {
 public:
  explicit SqliteGround(const Clock& clock)
      : store_(must(infrastructure::SqliteStore::open(clock, {.path = directory_.file("scheduler.db")}))) {}
  Store& store() override { return *store_; }
  void execute(std::string sql) override {
    ok<void>(store_->database().write([sql](database::sqlite::Connection& connection) -> SchedulerResult<void> {
      return connection.execute_script(sql);
    }));
  }
  std::int64_t count(std::string sql) override {
    return *ok<std::optional<std::int64_t>>(store_->database().read(
        [sql](database::sqlite::Connection& connection) { return connection.query(sql).value<std::int64_t>(); }));
  }

 private:
  testing_support::TempDir directory_;
  std::unique_ptr<infrastructure::SqliteStore> store_;
};

class PostgresGround final : public Ground {
 public:
  PostgresGround(const Clock& clock, const std::string& server) : clock_(clock), schema_(server), store_(open()) {}
  Store& store() override { return *store_; }
  // One more process's way to the same rows.
  [[nodiscard]] std::unique_ptr<infrastructure::PostgresStore> open() const {
    return must(
        infrastructure::PostgresStore::open({.connection = {.url = schema_.url()}, .connections_max = 2}, &clock_));
  }
  void execute(std::string sql) override { ok(store_->database().query(std::move(sql))); }
  std::int64_t count(std::string sql) override {
    auto rows = ok(store_->database().query(std::move(sql)));
    return *must(rows.value<std::int64_t>());
  }

 private:
  const Clock& clock_;
  testing_support::PostgresSchema schema_;
  std::unique_ptr<infrastructure::PostgresStore> store_;
};

// The host's time zones, until they are gone.
class Zones final : public domain::TimeZones {
 public:
  bool lost = false;
  [[nodiscard]] SchedulerResult<const domain::TimeZone*> find(std::string_view name) const override {
    if (!lost) return host_.find(name);
    return fail(ErrorKind::Validation, "there is no time zone '" + std::string(name) + "'");
  }

 private:
  infrastructure::SystemTimeZones host_;
};

// What one process has around its fire loop.
class Dispatcher {
 public:
  Dispatcher(SlotRepository& slots, FakeClock& clock, const domain::TimeZones& zones)
      : timer_(io_, clock),
        queue_(timer_),
        wake_(timer_.wake_signal()),
        loop_(slots, queue_, zones, metrics_, *wake_) {}
  ~Dispatcher() { timer_.abandon(); }
  // Ticks until nothing is due. False: a tick failed.
  bool run() {
    for (;;) {
      const auto tick = run_async(loop_.tick());
      if (!tick) return false;
      if (tick->rest > Micros{0}) return true;
    }
  }
  Async<dispatcher::Tick> tick() { return loop_.tick(); }

 private:
  asio::io_context io_{1};
  FakeTimer timer_;
  infrastructure::EmbeddedMessageQueue queue_;
  testing_support::RecordingMetrics metrics_;
  std::unique_ptr<WakeSignal> wake_;
  dispatcher::FireLoop loop_;
};

class AnyParameters final : public ParameterCheck {
 public:
  [[nodiscard]] std::vector<FieldError> check(std::string_view, std::string_view,
                                              std::span<const std::string>) const override {
    return {};
  }
};

// The use cases of one process.
class People {
 public:
  People(Store& store, FakeClock& clock, const domain::TimeZones& zones)
      : timer_(io_, clock), queue_(timer_), factory_({store, queue_, zones, parameters_, clock, timer_}) {}
  ~People() { timer_.abandon(); }
  std::unique_ptr<TaskService> tasks() { return factory_.create_task_service(); }
  std::unique_ptr<TaskControlService> control() { return factory_.create_task_control_service(); }

 private:
  asio::io_context io_{1};
  FakeTimer timer_;
  infrastructure::EmbeddedMessageQueue queue_;
  AnyParameters parameters_;
  ServiceFactory factory_;
};

}  // namespace scheduler::ledger
