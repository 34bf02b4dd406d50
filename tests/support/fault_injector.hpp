// tests/support/fault_injector.hpp — makes one chosen call of a port fail, so that every step can fail once.
#pragma once

#include "errors/result.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace scheduler::testing_support {

// Fakes ask it at each call of a port. Calls count from 1.
class FaultInjector {
 public:
  enum class When { before, after };  // the call changes nothing, or it does all it should; either way it fails

  void fail_call(int number, When when) {
    calls_ = 0;
    fail_at_ = number;
    when_ = when;
    hit_.clear();
  }
  void heal() {
    fail_at_ = 0;
    always_ = nullptr;
  }
  // Every call whose name it likes fails, until heal().
  void fail_while(std::function<bool(std::string_view call)> likes) { always_ = std::move(likes); }

  // The name of the call that failed; empty while none has.
  [[nodiscard]] const std::string& hit() const { return hit_; }

  // Where a call begins: an error to return at once, or nothing. `fails_after` says that the call must fail when done.
  struct Verdict {
    bool fails_before = false;
    bool fails_after = false;
  };
  [[nodiscard]] Verdict call(std::string_view name) {
    ++calls_;
    if (always_ && always_(name)) return {.fails_before = true};
    if (calls_ != fail_at_) return {};
    hit_ = name;
    return {.fails_before = when_ == When::before, .fails_after = when_ == When::after};
  }
  [[nodiscard]] static std::unexpected<SchedulerError> error(std::string_view name) {
    return fail(ErrorKind::Unavailable, std::string(name) + " fails on request of the test");
  }

 private:
  int calls_ = 0;
  int fail_at_ = 0;
  When when_ = When::before;
  std::string hit_;
  std::function<bool(std::string_view)> always_;
};

}  // namespace scheduler::testing_support
