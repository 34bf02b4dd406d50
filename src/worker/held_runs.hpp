// worker/held_runs.hpp — what this incarnation has in hand, and what it will not take. Pure bookkeeping.
//
// Always true:
//   - a run is in one of three places: ready (not begun), running, or ended (its report is not sent yet);
//   - work with a token at or below one seen for the same run is refused, also after that run has left;
//   - work with a larger token replaces what was not begun, and supersedes what runs.
#pragma once

#include "application/messages.hpp"
#include "core/stop.hpp"

#include <deque>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

namespace scheduler::worker {

struct HeldRun {
  application::TaskExecution execution;
  enum class Place { ready, running, ended } place = Place::ready;
  StopSignal stop;  // of the running attempt
  Micros began{0};  // monotonic
};

class HeldRuns {
 public:
  enum class Accepted { yes, stale };
  Accepted accept(application::TaskExecution work);

  // The next one to begin, now running; null when none is ready.
  [[nodiscard]] std::shared_ptr<HeldRun> begin_next(Micros now);
  void ended(const HeldRun& run);       // running -> ended
  void forget(RunId run, Token token);  // its report is sent
  // Takes the ready ones out: they are handed back.
  [[nodiscard]] std::vector<application::TaskExecution> take_ready();
  // Stops the running attempt of `run` up to `token`; a ready one is taken out and returned. Null: nothing to do here.
  [[nodiscard]] std::shared_ptr<HeldRun> stop(RunId run, Token token, StopReason why);
  void stop_all(StopReason why);

  [[nodiscard]] std::size_t ready() const { return ready_.size(); }
  [[nodiscard]] std::size_t running() const { return running_; }
  [[nodiscard]] std::size_t size() const { return held_.size(); }
  [[nodiscard]] std::vector<domain::Held> inventory() const;  // sorted

 private:
  using Key = std::pair<RunId, Token>;
  void remember(RunId run, Token token);

  std::map<Key, std::shared_ptr<HeldRun>> held_;
  std::deque<Key> ready_;
  std::size_t running_ = 0;
  // The largest token of the last kRememberedMax runs: doubled messages come soon or never.
  static constexpr std::size_t kRememberedMax = 1 << 16;
  std::unordered_map<RunId, Token> seen_;
  std::deque<RunId> seen_order_;
};

}  // namespace scheduler::worker
