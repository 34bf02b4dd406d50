#include "worker/held_runs.hpp"

#include <algorithm>
#include <limits>

namespace scheduler::worker {

HeldRuns::Accepted HeldRuns::accept(application::TaskExecution work) {
  const auto seen = seen_.find(work.run);
  if (seen != seen_.end() && work.token <= seen->second) return Accepted::stale;
  if (seen != seen_.end()) (void)stop(work.run, seen->second, StopReason::superseded);
  remember(work.run, work.token);
  const Key key{work.run, work.token};
  held_.emplace(key, std::make_shared<HeldRun>(std::move(work)));
  ready_.push_back(key);
  return Accepted::yes;
}

std::shared_ptr<HeldRun> HeldRuns::begin_next(Micros now) {
  if (ready_.empty()) return nullptr;
  auto run = held_.at(ready_.front());
  ready_.pop_front();
  run->place = HeldRun::Place::running;
  run->began = now;
  ++running_;
  return run;
}

void HeldRuns::ended(const HeldRun& run) {
  --running_;
  if (const auto found = held_.find({run.execution.run, run.execution.token}); found != held_.end())
    found->second->place = HeldRun::Place::ended;
}

void HeldRuns::forget(RunId run, Token token) { held_.erase({run, token}); }

std::vector<application::TaskExecution> HeldRuns::take_ready() {
  std::vector<application::TaskExecution> taken;
  for (const auto& key : ready_) taken.push_back(held_.extract(key).mapped()->execution);
  ready_.clear();
  return taken;
}

std::shared_ptr<HeldRun> HeldRuns::stop(RunId run, Token token, StopReason why) {
  // A copy: a stopped attempt may end inside request() and change the map.
  std::vector<std::shared_ptr<HeldRun>> meant;
  const auto end = held_.upper_bound({run, token});
  for (auto it = held_.lower_bound({run, std::numeric_limits<Token>::min()}); it != end; ++it)
    meant.push_back(it->second);
  std::shared_ptr<HeldRun> taken;
  for (const auto& held : meant) {
    if (held->place == HeldRun::Place::running) held->stop.request(why);
    if (held->place != HeldRun::Place::ready) continue;
    std::erase(ready_, Key{run, held->execution.token});
    held_.erase({run, held->execution.token});
    taken = held;
  }
  return taken;
}

void HeldRuns::stop_all(StopReason why) {
  const auto copy = held_;  // a stopped attempt may end inside request() and change the map
  for (const auto& [key, held] : copy)
    if (held->place == HeldRun::Place::running) held->stop.request(why);
}

std::vector<domain::Held> HeldRuns::inventory() const {
  std::vector<domain::Held> all;
  all.reserve(held_.size());
  // Of two tokens of one run the larger counts: the smaller one is being stopped.
  for (const auto& [key, held] : held_) {
    if (!all.empty() && all.back().run == key.first) all.pop_back();
    all.push_back({key.first, key.second});
  }
  return all;
}

void HeldRuns::remember(RunId run, Token token) {
  const auto [it, added] = seen_.insert_or_assign(run, token);
  if (!added) return;
  seen_order_.push_back(run);
  if (seen_order_.size() <= kRememberedMax) return;
  seen_.erase(seen_order_.front());
  seen_order_.pop_front();
}

}  // namespace scheduler::worker
