// Whatever makes fire times late, one rule decides them, and the ledger accounts for every one.
#include "ledger/ledger_world.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace scheduler::ledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The way to the ledger, as it can fail.
class FlakySlots final : public SlotRepository {
 public:
  explicit FlakySlots(SlotRepository& real) : real_(real) {}
  bool away = false;                    // the store cannot be reached
  bool dies_before_commit = false;      // the process, once
  bool dies_after_commit = false;       // the process, once
  std::function<void()> before_commit;  // somebody else acts meanwhile

  Async<FireView> due(std::size_t limit) override {
    if (away) co_return gone();
    co_return co_await real_.due(limit);
  }
  Async<FireReport> commit(std::vector<Fire> fires) override {
    if (away || std::exchange(dies_before_commit, false)) co_return gone();
    if (before_commit) std::exchange(before_commit, nullptr)();
    auto report = co_await real_.commit(std::move(fires));
    if (std::exchange(dies_after_commit, false)) co_return gone();
    co_return report;
  }
  Async<void> quarantine(TaskId task, std::int64_t version) override { return real_.quarantine(task, version); }
  Async<std::vector<domain::SlotRecord>> recorded(TaskId task, std::vector<TimePoint> slots) override {
    return real_.recorded(task, std::move(slots));
  }

 private:
  static std::unexpected<SchedulerError> gone() { return fail(ErrorKind::Unavailable, "gone"); }
  SlotRepository& real_;
};

struct Maker {
  std::string name;
  std::function<std::unique_ptr<Ground>(const Clock&)> make;
};
void PrintTo(const Maker& maker, std::ostream* out) { *out << maker.name; }

const Maker kSqlite{"sqlite", [](const Clock& clock) { return std::make_unique<SqliteGround>(clock); }};
const Maker kPostgres{"postgres", [](const Clock& clock) -> std::unique_ptr<Ground> {
                        const auto url = testing_support::service_url("POSTGRES");
                        if (!url) return nullptr;
                        return std::make_unique<PostgresGround>(clock, *url);
                      }};

class Ledger : public ::testing::TestWithParam<Maker> {
 public:
  void SetUp() override {
    ground = GetParam().make(clock);
    if (!ground) GTEST_SKIP() << "its server is not up: run ./dev services up";
    people = std::make_unique<People>(ground->store(), clock, zones);
  }

  Task create(TaskSpec spec) {
    spec.task_type = "noop";
    return ok(people->tasks()->create({.spec = std::move(spec)}));
  }
  Task minutely(const std::string& name, MisfirePolicy policy) {
    return create({.name = name,
                   .schedule = "* * * * *",
                   .overlap_policy = OverlapPolicy::allow,
                   .misfire_policy = policy,
                   .misfire_grace = 10s});
  }
  void update(TaskId id, const std::function<void(TaskSpec&)>& change) {
    auto spec = ok(people->tasks()->get(id)).spec;
    change(spec);
    ok(people->tasks()->update(id, {.spec = std::move(spec)}, std::nullopt));
  }
  void wait_for_the_minute() { clock.advance(std::chrono::ceil<std::chrono::minutes>(clock.now()) - clock.now()); }
  bool run_dispatcher() { return Dispatcher(ground->store().slots(), clock, zones).run(); }
  // Every minute on the minute, in time.
  void minutes_go_by(int n) {
    for (int i = 0; i < n; ++i) {
      clock.advance(1min);
      EXPECT_TRUE(run_dispatcher());
    }
  }
  SlotReport audit(TaskId id, std::optional<TimePoint> from = {}, std::optional<TimePoint> to = {}) {
    return ok(people->tasks()->slots(id, {.from = from, .to = to}));
  }
  std::int64_t runs_made(TaskId id) {
    return ground->count(fmt::format("SELECT count(*) FROM task_runs WHERE task_id = {}", id.value));
  }
  std::vector<domain::TaskRun> runs_of(TaskId id) {
    return ok(ground->store().runs().list({.task = id}, {.limit = 100})).items;  // newest first
  }

  FakeClock clock;
  Zones zones;
  std::unique_ptr<Ground> ground;
  std::unique_ptr<People> people;
};
INSTANTIATE_TEST_SUITE_P(Store, Ledger, ::testing::Values(kSqlite, kPostgres),
                         [](const auto& info) { return info.param.name; });

TEST_P(Ledger, WhateverMadeSlotsLate_ThePolicyDecidesThemAndNoneIsMissing) {
  const struct {
    std::string_view name;
    int missed;                                    // slots that nobody decided in time
    std::optional<Reason> always_skipped;          // for this reason, whatever the policy
    std::function<void(Ledger&, TaskId)> happens;  // ends half a minute after a slot
  } rows[] = {
      {"a crash before the commit",
       30,
       {},
       [](Ledger& it, TaskId) {
         FlakySlots slots(it.ground->store().slots());
         slots.dies_before_commit = true;
         it.clock.advance(1min);
         EXPECT_FALSE(Dispatcher(slots, it.clock, it.zones).run());
         it.clock.advance(29min + 30s);
       }},
      {"a crash after the commit, before its answer",
       29,
       {},
       [](Ledger& it, TaskId) {
         FlakySlots slots(it.ground->store().slots());
         slots.dies_after_commit = true;
         it.clock.advance(1min);
         EXPECT_FALSE(Dispatcher(slots, it.clock, it.zones).run());
         it.clock.advance(29min + 30s);
       }},
      {"a failover: the old dispatcher wakes up with an old view",
       30,
       {},
       [](Ledger& it, TaskId) {
         FlakySlots slots(it.ground->store().slots());
         slots.before_commit = [&it] { EXPECT_TRUE(it.run_dispatcher()); };
         it.clock.advance(30min + 30s);
         EXPECT_TRUE(Dispatcher(slots, it.clock, it.zones).run());
       }},
      {"an outage of the store",
       30,
       {},
       [](Ledger& it, TaskId) {
         FlakySlots slots(it.ground->store().slots());
         Dispatcher dispatcher(slots, it.clock, it.zones);
         slots.away = true;
         for (int i = 0; i < 30; ++i) {
           it.clock.advance(1min);
           EXPECT_FALSE(dispatcher.run());
         }
         it.clock.advance(30s);
         slots.away = false;
         EXPECT_TRUE(dispatcher.run());
       }},
      {"a clock that jumps forward", 30, {}, [](Ledger& it, TaskId) { it.clock.jump(30min + 30s); }},
      {"a clock that jumps back, and later forward again",
       30,
       {},
       [](Ledger& it, TaskId id) {
         it.clock.jump(-2h);
         for (int i = 0; i < 30; ++i) {
           it.clock.advance(1min);
           EXPECT_TRUE(it.run_dispatcher());
         }
         EXPECT_EQ(it.runs_made(id), 3) << "what has fired does not fire again";
         it.clock.jump(2h + 30s);
       }},
      {"a pause", 30, Reason::paused,
       [](Ledger& it, TaskId id) {
         ok(it.people->control()->pause_task(id));
         it.clock.advance(30min + 30s);
         EXPECT_TRUE(it.run_dispatcher());
         EXPECT_EQ(it.audit(id).undecided, 30);
         ok(it.people->control()->resume_task(id));
       }},
      {"an outage that ends with a pause",
       30,
       {},
       [](Ledger& it, TaskId id) {
         it.clock.advance(30min + 30s);
         ok(it.people->control()->pause_task(id));
         ok(it.people->control()->resume_task(id));
       }},
      {"a change of the status while nobody dispatches",
       30,
       {},
       [](Ledger& it, TaskId id) {
         it.clock.advance(30min + 30s);
         it.update(id, [](TaskSpec& spec) { spec.status = domain::TaskStatus::paused; });
         it.update(id, [](TaskSpec& spec) { spec.status = domain::TaskStatus::active; });
       }},
  };
  const std::pair<MisfirePolicy, int> policies[] = {
      {MisfirePolicy::skip, 0}, {MisfirePolicy::latest, 1}, {MisfirePolicy::all, 30}};
  for (const auto& row : rows)
    for (const auto& [policy, fired_max] : policies) {
      const auto label = fmt::format("{}, policy {}", row.name, name_of(policy));
      wait_for_the_minute();
      const auto begin = clock.now();
      const auto id = minutely(label, policy).id;
      minutes_go_by(3);
      row.happens(*this, id);
      EXPECT_TRUE(run_dispatcher()) << label;
      clock.advance(30s);
      EXPECT_TRUE(run_dispatcher()) << label;
      minutes_go_by(2);

      const auto late = row.always_skipped ? 0 : std::min(fired_max, row.missed);
      const auto in_time = 36 - row.missed;
      const auto report = audit(id, begin, clock.now());
      EXPECT_TRUE(report.verdict->complete) << label << ": " << report.verdict->sentence;
      EXPECT_EQ(report.counts.expected, 36) << label;
      EXPECT_EQ(report.counts.fired, in_time + late) << label;
      const auto skipped = report.counts.skipped;
      if (row.missed == late)
        EXPECT_THAT(skipped, IsEmpty()) << label;
      else
        EXPECT_THAT(skipped, ElementsAre(std::pair(row.always_skipped.value_or(Reason::misfire), row.missed - late)))
            << label;
      EXPECT_EQ(report.undecided, 0) << label;
      EXPECT_EQ(runs_made(id), in_time + late) << label;
      EXPECT_EQ(ground->count(fmt::format("SELECT count(DISTINCT slot) FROM task_runs WHERE task_id = {}", id.value)),
                in_time + late)
          << label << ": no slot has two runs";
      ok(people->tasks()->archive(id, std::nullopt));
    }
}

TEST_P(Ledger, ScheduleIsChangedLate_OldSlotsFollowThePolicyAndTheAuditSaysSinceWhen) {
  for (const auto& [policy, fired] :
       {std::pair(MisfirePolicy::skip, 0), std::pair(MisfirePolicy::latest, 1), std::pair(MisfirePolicy::all, 30)}) {
    wait_for_the_minute();
    const auto begin = clock.now();
    const auto id = minutely(std::string(name_of(policy)), policy).id;
    clock.advance(30min + 30s);  // nobody dispatches
    update(id, [](TaskSpec& spec) { spec.schedule = "*/5 * * * *"; });
    const auto changed = clock.now();
    std::vector<TimePoint> old_slots;
    for (int i = 1; i <= 30; ++i) old_slots.push_back(begin + std::chrono::minutes(i));
    domain::SlotAudit old_rule;
    old_rule.add(old_slots, ok(ground->store().slots().recorded(id, old_slots)));
    EXPECT_EQ(old_rule.counts().missing, 0);
    EXPECT_EQ(old_rule.counts().doubled, 0);
    EXPECT_EQ(old_rule.counts().fired, fired) << name_of(policy);

    clock.advance(10min);
    EXPECT_TRUE(run_dispatcher());
    const auto report = audit(id, begin, clock.now());
    EXPECT_TRUE(report.verdict->complete) << report.verdict->sentence;
    EXPECT_EQ(report.covered_from, changed);
    EXPECT_EQ(report.counts.expected, 2);
    EXPECT_THAT(report.verdict->notes, ElementsAre(HasSubstr("what an earlier one named is not known")));
    ok(people->tasks()->archive(id, std::nullopt));
  }
}

// Without its row in the ledger, a slot that fired looks like one that never did.
TEST_P(Ledger, RowsOfOldSlotsAreDeleted_NothingFiresAgain) {
  const auto id = minutely("minutely", MisfirePolicy::all).id;
  clock.advance(30s);
  const auto old_view = ok(ground->store().tasks().get(id));
  clock.advance(30s);
  EXPECT_TRUE(run_dispatcher());
  minutes_go_by(9);
  ground->execute("DELETE FROM schedule_slots");
  const auto watermark = ok(ground->store().tasks().get(id)).watermark;

  clock.jump(-9min);
  EXPECT_TRUE(run_dispatcher());
  const auto plan = domain::plan_fire(*domain::parse_schedule({.text = "* * * * *", .zone = &domain::utc()}),
                                      domain::misfire_rule(old_view.spec), *old_view.watermark, *watermark);
  EXPECT_EQ(plan.slots.size(), 10u);
  const auto report = ok(ground->store().slots().commit({{old_view, plan}}));
  EXPECT_EQ(report.lost_races, 1u);
  EXPECT_EQ(report.runs, 0u);
  clock.jump(9min);
  EXPECT_TRUE(run_dispatcher());
  EXPECT_EQ(runs_made(id), 10);
  EXPECT_EQ(ok(ground->store().tasks().get(id)).watermark, watermark);
  const auto gaps = audit(id);
  EXPECT_FALSE(gaps.verdict->complete);
  EXPECT_EQ(gaps.counts.missing, 10) << "the audit says what is not on record any more";
  EXPECT_EQ(gaps.counts.gaps.size(), 1u);
}

TEST_P(Ledger, TimeZoneIsLost_TheTaskIsSetAsideAndEverybodySaysSo) {
  const auto id = minutely("minutely", MisfirePolicy::latest).id;
  minutes_go_by(2);
  zones.lost = true;
  minutes_go_by(3);
  auto explained = ok(people->tasks()->explain(id));
  EXPECT_EQ(explained.gates.front().code, domain::GateCode::set_aside);
  EXPECT_THAT(explained.gates.front().sentence, HasSubstr("there is no time zone 'UTC'"));
  auto report = audit(id);
  EXPECT_FALSE(report.verdict->complete);
  EXPECT_THAT(report.verdict->sentence, HasSubstr("nothing is proven: the schedule cannot be read any more"));

  zones.lost = false;
  EXPECT_TRUE(run_dispatcher());
  explained = ok(people->tasks()->explain(id));
  EXPECT_EQ(explained.gates.front().code, domain::GateCode::set_aside);
  EXPECT_THAT(explained.gates.front().remedy, HasSubstr("task pause minutely"));
  report = audit(id);
  EXPECT_TRUE(report.verdict->complete);
  EXPECT_EQ(report.undecided, 3);
  EXPECT_THAT(report.verdict->notes, ::testing::Contains(HasSubstr("was set aside")));

  ok(people->control()->pause_task(id));
  ok(people->control()->resume_task(id));
  minutes_go_by(1);
  report = audit(id);
  EXPECT_TRUE(report.verdict->complete);
  EXPECT_EQ(report.undecided, 0);
  EXPECT_EQ(report.counts.expected, 6);
  EXPECT_EQ(ok(people->tasks()->explain(id)).gates.front().code, domain::GateCode::not_due);
}

TEST_P(Ledger, Pages_JoinWithoutGapOrDoubleAndWalkOverRangesInOneStep) {
  const auto begin = clock.now();
  const auto id = create({.name = "secondly",
                          .schedule = "* * * * * *",
                          .overlap_policy = OverlapPolicy::allow,
                          .misfire_policy = MisfirePolicy::skip,
                          .misfire_grace = 2s})
                      .id;
  for (int i = 0; i < 5; ++i) {
    clock.advance(1h);  // 3,597 missed, and three in time
    EXPECT_TRUE(run_dispatcher());
  }
  std::vector<SlotEntry> entries;
  SlotQuery query{.from = begin, .limit = 7};
  for (bool more = true; more;) {
    const auto page = ok(people->tasks()->slots(id, query));
    EXPECT_EQ(page.verdict.has_value(), !query.before);
    entries.insert(entries.end(), page.entries.begin(), page.entries.end());
    more = page.next_before.has_value();
    query.before = page.next_before;
    ASSERT_LE(entries.size(), 20u);
  }
  ASSERT_EQ(entries.size(), 20u);
  auto next = clock.now() + 1s;
  for (const auto& it : entries) {
    EXPECT_EQ(it.record.last, next - 1s);
    EXPECT_EQ(it.slots, (it.record.last - it.record.first) / 1s + 1);
    next = it.record.first;
  }
  EXPECT_EQ(next, begin + 1s);
  EXPECT_EQ(audit(id, begin).counts.expected, 5 * 3600);

  const auto part = audit(id, begin + 10s, begin + 20s);
  ASSERT_EQ(part.entries.size(), 1u);
  EXPECT_EQ(part.entries[0].record.first, begin + 11s);
  EXPECT_EQ(part.entries[0].record.last, begin + 20s);
  EXPECT_EQ(part.entries[0].slots, 10);
}

TEST_P(Ledger, Window_EmptyOrTooLong_IsRefusedWithTheLimit) {
  const auto begin = clock.now();
  const auto id = create({.name = "secondly", .schedule = "* * * * * *", .misfire_policy = MisfirePolicy::skip}).id;
  clock.advance(48h);
  EXPECT_TRUE(run_dispatcher());
  const auto refused = run_async(people->tasks()->slots(id, {.from = begin}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Validation);
  EXPECT_THAT(refused.error().message, HasSubstr("more than 100000 fire times"));
  EXPECT_EQ(audit(id).counts.expected, 86'400) << "a day of seconds is fine";
  EXPECT_EQ(run_async(people->tasks()->slots(id, {.from = begin, .to = begin})).error().kind, ErrorKind::Validation);
  EXPECT_EQ(run_async(people->tasks()->slots(TaskId{99}, {})).error().kind, ErrorKind::TaskNotFound);
  EXPECT_THAT(audit(create({.name = "manual"}).id).verdict->sentence, HasSubstr("no schedule"));
}

TEST_P(Ledger, DaylightSavingAndShards_AreAuditedLikeAnyOther) {
  clock.jump(*parse_rfc3339("2026-03-28T12:00:00Z") - clock.now());
  const auto id = create({.name = "nightly",
                          .schedule = "30 2 * * *",
                          .timezone = "Europe/Berlin",
                          .overlap_policy = OverlapPolicy::allow,
                          .shard_count = 3})
                      .id;
  for (int i = 0; i < 48; ++i) {
    clock.advance(1h);
    EXPECT_TRUE(run_dispatcher());
  }
  const auto report = audit(id, clock.now() - 48h);
  EXPECT_TRUE(report.verdict->complete) << report.verdict->sentence;
  EXPECT_EQ(report.counts.expected, 2);
  ASSERT_EQ(report.entries.size(), 2u);
  EXPECT_EQ(report.entries[1].record.first, *parse_rfc3339("2026-03-29T01:00:00Z")) << "02:30 does not exist";
  EXPECT_EQ(report.entries[0].record.first, *parse_rfc3339("2026-03-30T00:30:00Z"));
  EXPECT_EQ(report.entries[0].record.runs, 3);
  EXPECT_EQ(report.entries[0].record.run, runs_of(id)[2].id);
}

}  // namespace
}  // namespace scheduler::ledger
