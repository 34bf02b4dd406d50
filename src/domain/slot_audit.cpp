#include "domain/slot_audit.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace scheduler::domain {
namespace {

// True: the span that the slot belongs to is among those that are kept.
bool extend(std::vector<SlotSpan>& spans, TimePoint slot, bool neighbour) {
  if (neighbour) {
    spans.back().last = slot;
    ++spans.back().slots;
    return true;
  }
  if (spans.size() == kAuditSpansMax) return false;
  spans.push_back({slot, slot, 1});
  return true;
}

std::string fire_times(std::int64_t n) { return fmt::format("{} fire time{}", n, n == 1 ? "" : "s"); }

std::string dispositions(const SlotCounts& counts) {
  std::string skipped;
  std::int64_t n = 0;
  for (const auto& [reason, count] : counts.skipped) {
    skipped += fmt::format("{}{} {}", skipped.empty() ? "" : ", ", count, name_of(reason));
    n += count;
  }
  return n == 0 ? fmt::format("{} fired", counts.fired)
                : fmt::format("{} fired, {} skipped ({})", counts.fired, n, skipped);
}

std::string sentence(const AuditView& view) {
  const auto& task = view.task;
  const auto& counts = view.counts;
  if (!task.spec.schedule) return "the task has no schedule, so there is nothing to audit";
  if (!view.readable) return "nothing is proven: " + view.set_aside.value_or("the schedule cannot be read");
  const auto window =
      fmt::format("after {} up to {}", format_rfc3339(view.covered_from), format_rfc3339(view.covered_to));
  if (view.covered_from >= view.covered_to) return "no fire time of this window has been decided";
  if (counts.expected == 0) return fmt::format("the schedule names no fire time {}", window);
  if (counts.missing == 0 && counts.doubled == 0)
    return fmt::format("no gap, no double: {} {}, each with exactly one disposition: {}", fire_times(counts.expected),
                       window, dispositions(counts));
  return fmt::format("{}: of {} {}, {} without a disposition and {} with more than one; report this as a fault",
                     counts.missing > 0 && counts.doubled > 0 ? "gaps and doubles"
                     : counts.missing > 0                     ? "a gap"
                                                              : "a double",
                     fire_times(counts.expected), window, counts.missing, counts.doubled);
}

std::string why_undecided(const AuditView& view) {
  if (view.task.spec.status == TaskStatus::paused) return "the task is paused, and resuming it decides them";
  if (view.set_aside) return *view.set_aside;
  return "a dispatcher is about to decide them; if they stay, look whether one runs: scheduler-cli system health";
}

}  // namespace

void SlotAudit::add(std::span<const TimePoint> expected, std::span<const SlotRecord> records) {
  // How many records cover slot i: the sum of the steps up to i.
  std::vector<int> steps(expected.size() + 1);
  for (const auto& it : records) {
    const auto first = std::ranges::lower_bound(expected, it.first) - expected.begin();
    const auto end = std::ranges::upper_bound(expected, it.last) - expected.begin();
    if (end <= first) continue;
    (it.fired ? counts_.fired : counts_.skipped[it.reason]) += end - first;
    if (it.fired && it.runs != it.shards) continue;  // a shard has no disposition
    ++steps[static_cast<std::size_t>(first)];
    --steps[static_cast<std::size_t>(end)];
  }
  int covered = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    covered += steps[i];
    counts_.missing += covered == 0 ? 1 : 0;
    counts_.doubled += covered > 1 ? 1 : 0;
    in_gap_ = covered == 0 && extend(counts_.gaps, expected[i], in_gap_);
    in_double_ = covered > 1 && extend(counts_.doubles, expected[i], in_double_);
  }
  counts_.expected += static_cast<std::int64_t>(expected.size());
}

SlotVerdict verdict(const AuditView& view) {
  SlotVerdict it{.complete = view.readable && view.counts.missing == 0 && view.counts.doubled == 0,
                 .sentence = sentence(view)};
  if (!view.task.spec.schedule || !view.readable) return it;
  if (const auto since = schedule_known_since(view.task); view.from < since)
    it.notes.push_back(since > view.task.created_at
                           ? fmt::format("the schedule reads as it does since {}; what an earlier one named is not "
                                         "known any more, its runs are in the task's history",
                                         format_rfc3339(since))
                           : fmt::format("the task was made at {}", format_rfc3339(since)));
  if (view.undecided > 0)
    it.notes.push_back(fmt::format("{} due and not decided yet: {}",
                                   view.undecided == 1 ? "1 fire time is" : fire_times(view.undecided) + " are",
                                   why_undecided(view)));
  return it;
}

TimePoint schedule_known_since(const Task& task) { return task.schedule_since.value_or(task.created_at); }

}  // namespace scheduler::domain
