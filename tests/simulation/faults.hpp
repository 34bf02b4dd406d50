// simulation/faults.hpp — one process's view of store and queue, through which everything can go wrong.
#pragma once

#include "application/ports/message_queue.hpp"
#include "application/ports/store.hpp"
#include "simulation/sim_time.hpp"

#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>

namespace scheduler::simulation {

// How often each fault happens, per call or message, in percent. All zero: a perfect world.
struct FaultRates {
  int store_error_before = 0;  // the store says no, and did nothing
  int store_error_after = 0;   // it did it, and the answer got lost
  int message_lost = 0;
  int message_doubled = 0;
  int message_delayed = 0;
  int publish_error = 0;  // the queue says no; half of the time it took the message all the same
};

// The dice and the state of one world; `rates` becomes zero when the faults stop.
struct FaultSource {
  explicit FaultSource(std::uint64_t seed) : dice(seed) {}
  [[nodiscard]] bool happens(int percent) {
    return percent > 0 && std::uniform_int_distribution(0, 99)(dice) < percent;
  }
  [[nodiscard]] Micros between(Micros low, Micros high) {
    return Micros{std::uniform_int_distribution<std::int64_t>(low.count(), high.count())(dice)};
  }
  FaultRates rates;
  Micros broker_away_until{0};  // nothing is taken and nothing comes before
  std::mt19937_64 dice;
  std::map<std::string, std::int64_t> met;  // fault -> how often, so that a run that met none is noticed
};

// When it is killed, none of its calls returns any more.
struct Process {
  std::string name;
  bool killed = false;
  Micros paused_until{0};  // SIGSTOP: nothing goes on before
};

class Faults {
 public:
  Faults(SimTime& time, FaultSource& source, std::shared_ptr<Process> process)
      : time_(time), source_(source), process_(std::move(process)) {}

  [[nodiscard]] SimTime& time() const { return time_; }
  [[nodiscard]] FaultSource& source() const { return source_; }
  [[nodiscard]] const Process& process() const { return *process_; }

  [[nodiscard]] bool broker_is_away() const {
    if (time_.elapsed() >= source_.broker_away_until) return false;
    ++source_.met["broker_away"];
    return true;
  }

  // One store call, with a latency and whatever goes wrong around it.
  template <class T>
  Async<T> store_call(std::function<Async<T>()> call) {
    co_await step(std::chrono::microseconds{100}, std::chrono::milliseconds{8});
    if (source_.happens(source_.rates.store_error_before)) {
      ++source_.met["store_error_before"];
      co_return fail(ErrorKind::Database, "simulated: the store refused");
    }
    auto result = co_await call();
    co_await step(std::chrono::microseconds{10}, std::chrono::milliseconds{2});
    if (source_.happens(source_.rates.store_error_after)) {
      ++source_.met["store_error_after"];
      co_return fail(ErrorKind::Database, "simulated: the answer got lost");
    }
    co_return result;
  }

  // Some time passes; a killed process stays there for ever.
  asio::awaitable<void> step(Micros low, Micros high) {
    co_await time_.sleep(source_.between(low, high));
    while (time_.elapsed() < process_->paused_until) co_await time_.sleep(process_->paused_until - time_.elapsed());
    if (process_->killed) co_await time_.hang();
  }

 private:
  SimTime& time_;
  FaultSource& source_;
  std::shared_ptr<Process> process_;
};

[[nodiscard]] std::unique_ptr<application::Store> faulty_store(application::Store& real, Faults faults);
// Consumers of a killed process give their messages back when `release_consumers` is called.
[[nodiscard]] std::unique_ptr<application::MessageQueue> faulty_queue(application::MessageQueue& real, Faults faults);
void release_consumers(application::MessageQueue& faulty);

}  // namespace scheduler::simulation
