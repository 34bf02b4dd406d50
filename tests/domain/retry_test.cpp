#include "domain/retry.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <set>
#include <string_view>

using namespace scheduler;
using namespace scheduler::domain;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint kNow{std::chrono::sys_days{std::chrono::year{2026} / 3 / 1}};
constexpr RetryBackoff kDoubling{1, 2, 60};

TaskRun run_at(int attempt, int lost = 0) {
  TaskRun run;
  run.id = RunId{7};
  run.attempt = attempt;
  run.lost_attempts = lost;
  run.state = RunState::running;
  run.token = attempt;
  return run;
}

Outcome ended(AttemptState state) { return {.state = state, .reason = Reason::exit_code}; }

}  // namespace

TEST(Backoff, EachFurtherAttempt_WaitsByTheFactorUpToTheCapAndATenthMore) {
  const struct {
    std::string_view name;
    RetryBackoff policy;
    int next;
    Millis wait;
  } rows[] = {
      {"the first retry waits the base", kDoubling, 2, 1s},
      {"the second twice as long", kDoubling, 3, 2s},
      {"the seventh 32 times", kDoubling, 7, 32s},
      {"then the cap holds", kDoubling, 8, 60s},
      {"the cap holds for ever", kDoubling, 1000, 60s},
      {"a cap of the base never grows", {5, 10, 5}, 9, 5s},
      {"factor 1 never grows", {5, 1, 86400}, 50, 5s},
      {"milliseconds count", {0.001, 1, 1}, 2, 1ms},
      {"the largest values do not overflow", {86400, 10, 86400}, 1'000'000, 24h},
  };
  for (const auto& row : rows)
    for (std::int64_t run = 1; run <= 200; ++run) {
      const auto wait = backoff(row.policy, RunId{run}, row.next);
      EXPECT_GE(wait, row.wait) << row.name;
      EXPECT_LE(wait, row.wait + row.wait / 10 + 1ms) << row.name;
    }
}

TEST(Backoff, EqualInputs_GiveEqualWaitsAndOthersSpread) {
  std::set<Millis> waits;
  for (std::int64_t run = 1; run <= 1000; ++run) {
    EXPECT_EQ(backoff({60, 2, 3600}, RunId{run}, 2), backoff({60, 2, 3600}, RunId{run}, 2));
    waits.insert(backoff({60, 2, 3600}, RunId{run}, 2));
  }
  EXPECT_GT(waits.size(), 800u) << "runs that failed together must not come back together";
  EXPECT_LT(*waits.begin(), 61s);
  EXPECT_GT(*waits.rbegin(), 65s);
}

TEST(AfterAttempt, EveryOutcome_ChoosesTheNextStep) {
  const auto retry = [](TaskRun run) { return RetryAt{kNow + backoff(kDoubling, run.id, run.attempt + 1)}; };
  auto marked = run_at(1);
  marked.cancel_reason = Reason::cancelled_by_user;
  auto permanent = ended(AttemptState::failed);
  permanent.permanent = true;
  const Policy thrice{.max_retries = 2, .backoff = kDoubling};
  const Policy once{.max_retries = 0, .backoff = kDoubling};
  const Policy careful{.max_retries = 2, .backoff = kDoubling, .delivery = Delivery::at_most_once};
  const struct {
    std::string_view name;
    Policy policy;
    TaskRun run;
    Outcome outcome;
    AfterAttempt expected;
  } rows[] = {
      {"success ends the run", thrice, run_at(1), ended(AttemptState::succeeded), End{RunState::succeeded}},
      {"a late success ends it as well", thrice, run_at(3), ended(AttemptState::succeeded), End{RunState::succeeded}},
      {"the first failure is tried again", thrice, run_at(1), ended(AttemptState::failed), retry(run_at(1))},
      {"the second, too, after a longer wait", thrice, run_at(2), ended(AttemptState::failed), retry(run_at(2))},
      {"the third uses up two retries", thrice, run_at(3), ended(AttemptState::failed), End{RunState::failed}},
      {"without retries one failure is the end", once, run_at(1), ended(AttemptState::failed), End{RunState::failed}},
      {"a timeout is tried again like a failure", thrice, run_at(1), ended(AttemptState::timed_out), retry(run_at(1))},
      {"the last timeout ends it timed out", thrice, run_at(3), ended(AttemptState::timed_out),
       End{RunState::timed_out}},
      {"a permanent failure is final", thrice, run_at(1), permanent, End{RunState::failed}},
      {"a killed attempt was cancelled", thrice, run_at(1), ended(AttemptState::cancelled), End{RunState::cancelled}},
      {"a cancel mark wins over a retry", thrice, marked, ended(AttemptState::failed), End{RunState::cancelled}},
      {"and over a timeout", thrice, marked, ended(AttemptState::timed_out), End{RunState::cancelled}},
      {"but never over a success", thrice, marked, ended(AttemptState::succeeded), End{RunState::succeeded}},
      {"lost attempts have a budget of their own", thrice, run_at(4, 2), ended(AttemptState::failed),
       retry(run_at(4, 2))},
      {"and do not lengthen the other one", thrice, run_at(5, 2), ended(AttemptState::failed), End{RunState::failed}},
      {"a worker that stops is a lost one", once, run_at(1), ended(AttemptState::lost), RetryAt{kNow}},
      {"whose run ends where it may go out once", careful, run_at(1), ended(AttemptState::lost),
       End{RunState::failed, "not given to another worker: its delivery is at_most_once"}},
      {"which forbids no retry of a known failure", careful, run_at(1), ended(AttemptState::failed), retry(run_at(1))},
  };
  for (const auto& row : rows)
    EXPECT_EQ(after_attempt(row.policy, row.run, row.outcome, kNow), row.expected) << row.name;
}

TEST(CertainEnd, OutcomesThatNoPolicyChanges_AreEndsAndAgreeWithAfterAttempt) {
  for (const auto state : {AttemptState::succeeded, AttemptState::cancelled}) {
    const auto end = certain_end(ended(state));
    ASSERT_TRUE(end) << name_of(state);
    EXPECT_EQ(AfterAttempt{*end}, after_attempt({.max_retries = 9}, run_at(1), ended(state), kNow)) << name_of(state);
  }
  for (const auto state : {AttemptState::failed, AttemptState::timed_out, AttemptState::lost})
    EXPECT_FALSE(certain_end(ended(state))) << name_of(state);
}

TEST(AfterAttempt, RetryOn_LetsOnlyTheNamedFailuresBeTriedAgain) {
  const auto code = [](int value) {
    return Outcome{.state = AttemptState::failed, .reason = Reason::exit_code, .exit_code = value};
  };
  const auto status = [](int value) {
    return Outcome{.state = AttemptState::failed, .reason = Reason::http_status, .http_status = value};
  };
  const Outcome signal{.state = AttemptState::failed, .reason = Reason::signal};
  const Outcome timeout{.state = AttemptState::timed_out, .reason = Reason::timeout};
  const Outcome no_host{.state = AttemptState::failed, .reason = Reason::executor_error};
  const Outcome lost{.state = AttemptState::lost, .reason = Reason::shutdown};
  const Outcome invalid{.state = AttemptState::failed, .reason = Reason::output_invalid};
  const auto again = [](int attempt) { return RetryAt{kNow + backoff(kDoubling, RunId{7}, attempt + 1)}; };
  const RetryOn any, timeouts{.reasons = {Reason::timeout}}, codes{.exit_codes = {75, 111}},
      statuses{.http_statuses = {429, 503}},
      both{.reasons = {Reason::exit_code, Reason::http_status}, .exit_codes = {75}, .http_statuses = {503}};
  const struct {
    std::string_view name;
    RetryOn rules;
    Outcome outcome;
    AfterAttempt expected;
  } rows[] = {
      {"no rule excludes nothing", any, code(3), again(1)},
      {"a reason that is named is tried again", timeouts, timeout, again(1)},
      {"one that is not is final", timeouts, code(3),
       End{RunState::failed, "not tried again: retry_on.reasons does not name exit_code"}},
      {"a signal is a reason of its own", timeouts, signal,
       End{RunState::failed, "not tried again: retry_on.reasons does not name signal"}},
      {"so is an output that is none", timeouts, invalid,
       End{RunState::failed, "not tried again: retry_on.reasons does not name output_invalid"}},
      {"a timeout that is not named ends timed out", both, timeout,
       End{RunState::timed_out, "not tried again: retry_on.reasons does not name timeout"}},
      {"an exit code of the list is tried again", codes, code(111), again(1)},
      {"another one is final", codes, code(1),
       End{RunState::failed, "not tried again: retry_on.exit_codes does not hold 1"}},
      {"exit codes say nothing about a timeout", codes, timeout, again(1)},
      {"nor about a status", codes, status(500), again(1)},
      {"nor about an attempt that could not be made", codes, no_host, again(1)},
      {"a status of the list is tried again", statuses, status(503), again(1)},
      {"another one is final", statuses, status(404),
       End{RunState::failed, "not tried again: retry_on.http_statuses does not hold 404"}},
      {"all lists must agree", both, code(75), again(1)},
      {"all lists must agree, the second", both, code(76),
       End{RunState::failed, "not tried again: retry_on.exit_codes does not hold 76"}},
      {"a lost worker is not the rules' business", timeouts, lost, RetryAt{kNow}},
  };
  for (const auto& row : rows)
    EXPECT_EQ(
        after_attempt({.max_retries = 3, .backoff = kDoubling, .retry_on = row.rules}, run_at(1), row.outcome, kNow),
        row.expected)
        << row.name;
}

// Where no attempt was left anyway, the rules are not to blame.
TEST(AfterAttempt, RetriesUsedUp_SaysNothingAboutRules) {
  const RetryOn timeouts{.reasons = {Reason::timeout}};
  for (const int retries : {0, 1})
    EXPECT_EQ(after_attempt({.max_retries = retries, .retry_on = timeouts}, run_at(retries + 1),
                            ended(AttemptState::failed), kNow),
              AfterAttempt(End{RunState::failed}));
  auto permanent = ended(AttemptState::failed);
  permanent.permanent = true;
  EXPECT_EQ(after_attempt({.max_retries = 5, .retry_on = timeouts}, run_at(1), permanent, kNow),
            AfterAttempt(End{RunState::failed}));
}

TEST(MessageOf, NoteOfTheEnd_StandsBehindTheSentence) {
  const Outcome outcome{.state = AttemptState::failed, .reason = Reason::exit_code, .message = "exited with code 3"};
  EXPECT_EQ(message_of(outcome, RetryAt{kNow}), "exited with code 3");
  EXPECT_EQ(message_of(outcome, End{RunState::failed}), "exited with code 3");
  EXPECT_EQ(message_of(outcome, End{RunState::failed, "no more"}), "exited with code 3; no more");
  EXPECT_EQ(message_of({}, End{RunState::failed, "no more"}), "no more");
}

TEST(AfterAttempt, RetryAfter_IsAtLeastWaited) {
  const Policy policy{.max_retries = 5, .backoff = kDoubling};
  auto outcome = ended(AttemptState::failed);
  outcome.retry_after = 30s;
  EXPECT_EQ(after_attempt(policy, run_at(1), outcome, kNow), AfterAttempt(RetryAt{kNow + 30s}));
  outcome.retry_after = 1ms;
  EXPECT_EQ(after_attempt(policy, run_at(1), outcome, kNow),
            AfterAttempt(RetryAt{kNow + backoff(kDoubling, RunId{7}, 2)}));
  outcome.retry_after = Millis{-1};
  EXPECT_EQ(after_attempt(policy, run_at(1), outcome, kNow),
            AfterAttempt(RetryAt{kNow + backoff(kDoubling, RunId{7}, 2)}));
}

// A server's word must not park a run for ever, nor overflow an instant.
TEST(AfterAttempt, AbsurdRetryAfter_IsCappedAtADay) {
  const Policy policy{.max_retries = 5, .backoff = kDoubling};
  auto outcome = ended(AttemptState::failed);
  outcome.retry_after = Millis::max();
  EXPECT_EQ(after_attempt(policy, run_at(1), outcome, kNow), AfterAttempt(RetryAt{kNow + 24h}));
}

TEST(AfterLoss, EachLoss_IsTriedAgainUntilTheBudgetIsUsedUp) {
  const Policy policy{.max_retries = 0, .backoff = kDoubling};
  EXPECT_EQ(after_loss(policy, run_at(1, 0), kNow), AfterAttempt(RetryAt{kNow}));
  EXPECT_EQ(after_loss(policy, run_at(2, 1), kNow), AfterAttempt(RetryAt{kNow}));
  auto third = run_at(3, 2);
  third.lost_workers = "w1, w2";
  third.worker = WorkerId{"w3"};
  EXPECT_EQ(after_loss(policy, third, kNow),
            AfterAttempt(End{RunState::failed,
                             "not given to another worker: it has lost 3 of them (w1, w2, w3), and "
                             "max_lost_attempts is 3"}));
}

TEST(AfterLoss, BudgetOfTheTask_DecidesHowManyWorkersItMayLose) {
  for (int budget = 1; budget <= 10; ++budget)
    for (int lost = 0; lost < budget; ++lost) {
      const auto next = after_loss({.max_lost_attempts = budget}, run_at(lost + 1, lost), kNow);
      EXPECT_EQ(std::holds_alternative<End>(next), lost + 1 == budget) << budget << ", " << lost;
    }
}

TEST(AfterLoss, MarkOrDelivery_EndsTheRun) {
  auto marked = run_at(1);
  marked.cancel_reason = Reason::cancelled_by_user;
  EXPECT_EQ(after_loss({}, marked, kNow), AfterAttempt(End{RunState::cancelled}));
  EXPECT_EQ(after_loss({.delivery = Delivery::at_most_once}, run_at(1), kNow),
            AfterAttempt(End{RunState::failed, "not given to another worker: its delivery is at_most_once"}));
  EXPECT_EQ(after_loss({.delivery = Delivery::at_most_once}, marked, kNow), AfterAttempt(End{RunState::cancelled}));
}

// However a run's attempts end, it ends after max_retries + 1 counted tries and max_lost_attempts lost ones.
TEST(AfterAttempt, AnyMixOfFailuresAndLosses_EndsWithinBothBudgets) {
  for (int retries = 0; retries <= 10; ++retries)
    for (unsigned pattern = 0; pattern < 4096; ++pattern) {
      const Policy policy{.max_retries = retries, .backoff = kDoubling};
      auto run = run_at(1);
      int attempts = 0;
      for (bool over = false; !over; ++attempts) {
        ASSERT_LT(attempts, retries + 1 + policy.max_lost_attempts) << "pattern " << pattern;
        const bool is_lost = (pattern >> (attempts % 12) & 1) != 0;
        const auto next = after_attempt(policy, run, ended(is_lost ? AttemptState::lost : AttemptState::failed), kNow);
        over = std::holds_alternative<End>(next);
        run.lost_attempts += is_lost ? 1 : 0;
        ++run.attempt;
      }
    }
}
