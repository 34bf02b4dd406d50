// simulation/checker.hpp — the promises of the system, judged on every row that the store commits.
//
// The checker keeps its own copy of what the store holds and looks behind all faults: triggers of its own note which
// rows a transaction has touched, and observe() compares them with the copy. What was broken is said at the very write
// that broke it. Beside the rows it hears what really happened: which attempts began and how they ended, what a client
// was told, which messages were acknowledged.
#pragma once

#include "application/ports/run_repository.hpp"
#include "application/ports/slot_repository.hpp"
#include "database/sqlite/database.hpp"
#include "domain/time_zone.hpp"
#include "simulation/coverage.hpp"
#include "simulation/sim_time.hpp"
#include "simulation/trace.hpp"

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace scheduler::simulation {

class Checker {
 public:
  struct Settings {
    std::size_t dispatchers = 2;
    std::string gone_zone;  // no schedule in it can be read
  };
  Checker(const SimTime& time, Trace& trace, Coverage& coverage, Settings settings)
      : time_(time), trace_(trace), coverage_(coverage), settings_(std::move(settings)) {}

  // Before the first task.
  asio::awaitable<void> attach(database::sqlite::Database& database);
  // Judges what was committed since the last time: one call of the store. Which passages it made.
  asio::awaitable<Passages> observe();

  // --- what is known outside the store ---
  void began(const application::TaskExecution& work, const std::string& worker);
  // `took`: where nothing but the attempt itself took time.
  void ended(const application::TaskExecution& work, const domain::Outcome& outcome, std::optional<Micros> took);
  void acknowledged(const application::Message& message);  // the queue need not keep it any more
  void told(const application::NewRuns& made, TaskId task, const std::optional<std::string>& key);
  void will_cancel(RunId run) { cancels_.insert(run); }
  void told_cancelled(RunId run);
  void broken(std::string sentence);

  // --- the passages that a call or a message is about, as things stand ---
  [[nodiscard]] Passages about(const std::vector<application::Dispatching>& batch) const;
  [[nodiscard]] Passages about(const std::vector<application::RunChange>& batch) const;
  [[nodiscard]] Passages about(const std::vector<application::Fire>& fires) const;
  [[nodiscard]] Passages about(const std::vector<application::NewRun>& batch) const;
  [[nodiscard]] Passages about_cancel(RunId run) const;
  [[nodiscard]] Passages about(const application::Message& message) const;

  // --- the end ---
  [[nodiscard]] bool caught_up() const;        // every schedule that can be read has decided what was due
  [[nodiscard]] bool has_overdue_run() const;  // and nobody ends it
  [[nodiscard]] const std::set<RunId>& open() const { return open_; }  // runs that have not ended
  void judge_end(bool all_must_have_ended);

  [[nodiscard]] const domain::TaskRun* find(RunId run) const;
  [[nodiscard]] const std::map<RunId, domain::TaskRun>& runs() const { return runs_; }
  [[nodiscard]] const std::vector<std::string>& broken() const { return broken_; }
  [[nodiscard]] const std::map<std::string, std::int64_t>& ends() const { return ends_; }

 private:
  // A rule that decided a task's slots in (from, until].
  struct Rule {
    domain::TaskSpec spec;
    TimePoint from{};
    std::optional<TimePoint> until;
  };
  struct SlotRow {
    TaskId task;
    TimePoint first{}, last{};
    int shard = 0;
    bool fired = false;
    std::optional<RunId> run;
    TimePoint decided_at{};
  };
  struct Round {
    TaskId task, upstream;
    RunId run;
    domain::RunState state = domain::RunState::succeeded;
  };
  // The rows that one call has touched, as they are now, each kind in the order of the writes.
  struct Touched {
    std::vector<domain::WorkerInfo> workers;
    std::vector<domain::Task> tasks;
    std::vector<domain::Attempt> attempts;
    std::vector<std::pair<domain::TaskRun, std::optional<TimePoint>>> runs;  // and missing_since
    std::vector<Round> rounds;
    std::vector<SlotRow> slots;
    std::vector<std::string> deleted;  // what nobody may delete or rewrite
  };
  struct Ending {
    RunId run;
    TaskId task;
  };
  // How many runs the rounds of a task should have made by now, in this call.
  struct Expected {
    int run = 0, skipped = 0;
  };

  SchedulerResult<Touched> read(database::sqlite::Connection& connection);
  void judge(const domain::WorkerInfo& worker);
  void judge(const domain::Task& task);
  void judge(const domain::Attempt& attempt);
  void judge_new(const domain::TaskRun& run);
  void judge_change(const domain::TaskRun& before, const domain::TaskRun& after);
  void judge_dispatch(const domain::TaskRun& before, const domain::TaskRun& after);
  void judge_retry(const domain::TaskRun& after, const domain::Attempt& attempt);
  void judge_loss(const domain::TaskRun& before, const domain::TaskRun& after, const domain::Attempt& attempt);
  void judge_end_of(const domain::TaskRun& before, const domain::TaskRun& after, const domain::Attempt* attempt);
  void judge_becoming_due(const domain::TaskRun& run);
  void judge(const SlotRow& slot);
  void judge_rounds(const std::vector<Round>& rounds);
  void judge_slots_of(const domain::Task& task, const std::vector<Rule>& rules);
  [[nodiscard]] Passage passage_of(const domain::TaskRun& before, const domain::TaskRun& after) const;
  [[nodiscard]] Passages about(const application::StatusUpdate& report) const;
  [[nodiscard]] Passages about_end(const domain::TaskRun& run, const domain::AfterAttempt& next,
                                   domain::AttemptState how) const;
  [[nodiscard]] const domain::Attempt* attempt_of(const domain::TaskRun& run) const;
  [[nodiscard]] int active_besides(const domain::TaskRun& run, bool waiting) const;
  [[nodiscard]] std::vector<TaskId> dependants_of(TaskId upstream) const;
  [[nodiscard]] const domain::TaskSpec& spec_of(TaskId task) const { return tasks_.at(task).spec; }
  [[nodiscard]] bool is_readable(const domain::TaskSpec& spec) const { return spec.timezone != settings_.gone_zone; }

  const SimTime& time_;
  Trace& trace_;
  Coverage& coverage_;
  Settings settings_;
  database::sqlite::Database* database_ = nullptr;
  std::int64_t seen_ = 0;  // the last note of the triggers that was judged

  std::map<RunId, domain::TaskRun> runs_;
  std::map<TaskId, std::set<RunId>> open_of_;
  std::set<RunId> open_;
  std::map<RunId, TimePoint> missing_;  // since when, for the run's current token
  std::map<std::pair<RunId, int>, domain::Attempt> attempts_;
  std::map<TaskId, domain::Task> tasks_;
  std::map<TaskId, std::vector<Rule>> rules_;
  std::map<IncarnationId, domain::WorkerInfo> workers_;
  std::map<IncarnationId, std::size_t> capacity_;                      // the most that it has ever asked for
  std::map<TaskId, std::map<TimePoint, std::vector<SlotRow>>> slots_;  // by the last fire time of a row
  std::set<std::tuple<TaskId, TimePoint, int>> slot_runs_;

  // Ended runs of upstreams that wait for their round, by dependant and upstream.
  std::map<TaskId, std::map<TaskId, std::deque<domain::RunState>>> rounds_;
  std::set<std::pair<TaskId, RunId>> counted_;
  std::vector<Ending> ended_now_;
  std::map<TaskId, Expected> made_now_;

  std::map<std::pair<RunId, Token>, int> begun_;
  std::map<RunId, int> begun_of_;
  std::map<std::pair<RunId, Token>, domain::Outcome> outcomes_;
  std::set<RunId> cancels_;
  std::map<std::pair<TaskId, std::string>, std::vector<RunId>> keys_;
  Passages passages_;
  std::vector<std::string> broken_;
  std::map<std::string, std::int64_t> ends_;
};

}  // namespace scheduler::simulation
