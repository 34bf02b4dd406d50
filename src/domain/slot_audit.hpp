// domain/slot_audit.hpp — does the ledger dispose of every fire time exactly once?
//
// Always true: the judgement rests on the fire times that the schedule names and on what the ledger holds, and on
// nothing else; its cost grows with the fire times of the window, not with the ledger.
#pragma once

#include "domain/schedule.hpp"
#include "domain/task.hpp"
#include "domain/task_run.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace scheduler::domain {

// What the ledger holds about fire times of one task: one that fired, or some that were skipped together.
struct SlotRecord {
  TimePoint first{},
      last{};  // the same instant where it fired; else all slots in [first, last], whose ends may be none
  bool fired = true;
  Reason reason =
      Reason::none;            // why it was skipped; `overlap` where it fired and waits for another run, or replaces it
  int runs = 0;                // made by it, one for each shard
  int shards = 0;              // as many as there should be
  std::optional<RunId> run;    // the first of them
  std::optional<RunId> cause;  // the run that stood in the way: it was merged into that one, waits for it, replaces it
  TimePoint decided_at{};
  bool operator==(const SlotRecord&) const = default;
};

// Neighbouring slots with the same fault.
struct SlotSpan {
  TimePoint first{}, last{};
  std::int64_t slots = 0;
  bool operator==(const SlotSpan&) const = default;
};
inline constexpr std::size_t kAuditSpansMax = 100;

struct SlotCounts {
  std::int64_t expected = 0;               // slots that the schedule names
  std::int64_t fired = 0;                  // on record as fired
  std::map<Reason, std::int64_t> skipped;  // on record as skipped, by reason
  std::int64_t missing = 0;                // slots without a disposition, or without that of one of their shards
  std::int64_t doubled = 0;                // slots with more than one
  std::vector<SlotSpan> gaps, doubles;     // the first kAuditSpansMax of each, oldest first
  bool operator==(const SlotCounts&) const = default;
};

// Compares slots with records, a stretch of the window at a time, oldest first.
class SlotAudit {
 public:
  // `expected`: all slots of the stretch, ascending; `records`: every one that covers any of them, in any order.
  void add(std::span<const TimePoint> expected, std::span<const SlotRecord> records);
  [[nodiscard]] const SlotCounts& counts() const { return counts_; }

 private:
  SlotCounts counts_;
  bool in_gap_ = false, in_double_ = false;  // the last slot seen belongs to the last span
};

// What is known when the verdict is given. The window is (from, to].
struct AuditView {
  TimePoint now{};
  Task task;
  TimePoint from{}, to{};                  // as asked for
  TimePoint covered_from{}, covered_to{};  // what `counts` is about
  SlotCounts counts;
  std::int64_t undecided = 0;            // slots that are due and lie after the watermark
  bool readable = true;                  // false: the schedule cannot be read, so nothing was counted
  std::optional<std::string> set_aside;  // why no dispatcher fires it although it is active
};

struct SlotVerdict {
  bool complete = false;  // every slot that the verdict covers has exactly one disposition
  std::string sentence;
  std::vector<std::string> notes;  // what the verdict does not cover, and why
};

[[nodiscard]] SlotVerdict verdict(const AuditView& view);

// From where on the slots of the task's schedule can be named: an earlier schedule is not known any more.
[[nodiscard]] TimePoint schedule_known_since(const Task& task);

}  // namespace scheduler::domain
