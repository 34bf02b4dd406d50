// tests/support/fake_executor.hpp — an executor that does what a test told it, for as long as it told it.
#pragma once

#include "application/ports/task_executor.hpp"
#include "core/clock.hpp"
#include "core/timer.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace scheduler::testing_support {

// What one attempt does. It ends after `takes`, or `stop_takes` after it was told to stop.
struct Script {
  Micros takes{0};  // zero: it ends before execute() suspends
  domain::Outcome outcome = {};
  Micros stop_takes{0};
  std::string output = {};
};

class FakeExecutor final : public application::TaskExecutor {
 public:
  FakeExecutor(const Clock& clock, Timer& timer) : clock_(clock), timer_(timer) {}

  // Runs without a script of their own follow `other`.
  void script(RunId run, Script script) { scripts_[run] = std::move(script); }
  void script_others(Script script) { others_ = std::move(script); }

  asio::awaitable<domain::Outcome> execute(const application::TaskExecution& execution, application::OutputSink& sink,
                                           StopSignal& stop) override;

  struct Began {
    RunId run;
    Token token = 0;
    Micros at{0};
    bool operator==(const Began&) const = default;
  };
  struct Stopped {
    RunId run;
    Token token = 0;
    StopReason why = StopReason::cancelled;
    Micros at{0};
    bool operator==(const Stopped&) const = default;
  };
  [[nodiscard]] const std::vector<Began>& began() const { return began_; }
  [[nodiscard]] const std::vector<Stopped>& stopped() const { return stopped_; }
  [[nodiscard]] int running() const { return running_; }
  [[nodiscard]] int running_max() const { return running_max_; }

 private:
  const Clock& clock_;
  Timer& timer_;
  std::map<RunId, Script> scripts_;
  Script others_;
  std::vector<Began> began_;
  std::vector<Stopped> stopped_;
  int running_ = 0, running_max_ = 0;
};

// One executor for several task types.
class FakeExecutors final : public application::ExecutorRegistry {
 public:
  FakeExecutors(application::TaskExecutor& executor, std::vector<std::string> types)
      : executor_(executor), types_(std::move(types)) {}
  [[nodiscard]] application::TaskExecutor* find(std::string_view type) override {
    return std::ranges::find(types_, type) == types_.end() ? nullptr : &executor_;
  }
  [[nodiscard]] std::vector<std::string> task_types() const override { return types_; }

 private:
  application::TaskExecutor& executor_;
  std::vector<std::string> types_;
};

}  // namespace scheduler::testing_support
