// Runs: look, read along, wait, stop, do again.
#include "cli/commands.hpp"
#include "cli/follow_run.hpp"
#include "cli/gates.hpp"
#include "cli/paging_options.hpp"
#include "cli/text.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <ostream>

namespace scheduler::cli {
namespace {

const std::vector<Column> kRunColumns = {
    {"ID", "id"},           {"TASK", "task_name"},   {"STATE", "state"},   {"TRIGGER", "trigger"}, {"DUE", "due_at"},
    {"ATTEMPT", "attempt"}, {"TOOK", "duration_ms"}, {"WORKER", "worker"}, {"REASON", "reason"}};
const std::vector<Column> kAttemptColumns = {{"ATTEMPT", "number"},     {"STATE", "state"},      {"WORKER", "worker"},
                                             {"STARTED", "started_at"}, {"TOOK", "duration_ms"}, {"REASON", "reason"},
                                             {"MESSAGE", "message"}};
const std::vector<Column> kUpstreamColumns = {
    {"TASK", "task_name"}, {"FIRE TIME", "slot"}, {"RUN", "run_id"}, {"STATE", "state"}};
const std::vector<std::string> kStates = {"waiting", "pending",   "dispatched", "running", "succeeded",
                                          "failed",  "timed_out", "cancelled",  "skipped"};

Option run_argument(std::string& into) {
  return {.names = "ID", .value = "ID", .doc = "of the run", .into = &into, .required = true};
}

struct ListOptions {
  std::optional<std::string> task, state, trigger, worker;
  PagingOptions paging;
};

Outcome<Exit> list(const Session& session, const ListOptions& it) {
  TRY(const auto api, session.api());
  std::optional<std::string> task;
  if (it.task) {
    TRY(task, api.task_id(*it.task));
  }
  Query query;
  query.add("task_id", task).add("state", it.state).add("trigger", it.trigger).add("worker", it.worker);
  add_paging(query, it.paging);
  TRY(const auto data, api.get("/api/runs" + query.text()));
  session.output().list(data, array_in(data, "items"), kRunColumns);
  hint_at_more(session, data, "runs");
  return Exit::ok;
}

Verb list_verb(Session& session) {
  auto it = std::make_shared<ListOptions>();
  std::vector<Option> options = {
      {.names = "--task", .value = "TASK", .doc = "only of this one, id or name", .into = &it->task},
      {.names = "--state", .value = "STATE", .doc = "only these", .into = &it->state, .words = kStates},
      {.names = "--trigger",
       .value = "WHO",
       .doc = "only those",
       .into = &it->trigger,
       .words = {"schedule", "manual", "dependency", "retry"}},
      {.names = "--worker", .value = "ID", .doc = "only on this one", .into = &it->worker},
  };
  add_paging(options, it->paging);
  return {"list", "Show runs, newest first.", std::move(options), [&session, it] { return list(session, *it); }};
}

Verb get_verb(Session& session) {
  auto id = std::make_shared<std::string>();
  return {"get", "Show one run.", {run_argument(*id)}, [&session, id]() -> Outcome<Exit> {
            TRY(const auto run, run_id(*id));
            TRY(const auto api, session.api());
            TRY(const auto data, api.get("/api/runs/" + run));
            session.output().one(data);
            return Exit::ok;
          }};
}

struct LogOptions {
  std::string id;
  bool follow = false;
  std::optional<int> attempt;
};

// All lines there are now, page by page. As JSON or YAML they are one answer.
Outcome<Exit> print_logs(const Session& session, const ApiClient& api, const std::string& id,
                         std::optional<int> attempt) {
  json::array all;
  json::value page;
  std::string after = "0";
  while (true) {
    const auto query = Query().add("attempt", attempt).add("after_line", std::optional(after)).text();
    TRY(page, api.get(fmt::format("/api/runs/{}/logs{}", id, query)));
    const auto lines = array_in(page, "lines");
    if (lines.empty()) break;
    for (const auto& line : lines) {
      const auto* text = member_of(line, "text");
      if (session.format != "table")
        all.push_back(line);
      else if (text && text->is_string())
        session.ports.out << output_line(text->get_string()) << '\n';
    }
    const auto next = member_text(page, "next_after_line");
    if (!parse_id(next) || next == after) break;
    after = next;
    // Later pages are of the same attempt, even if a retry has begun meanwhile.
    if (const auto of = parse_id(member_text(page, "attempt"))) attempt = static_cast<int>(*of);
  }
  if (session.format == "table") return Exit::ok;
  if (page.is_object()) page.get_object()["lines"] = std::move(all);
  session.output().one(page);
  return Exit::ok;
}

Outcome<Exit> logs(const Session& session, const LogOptions& it) {
  TRY(const auto id, run_id(it.id));
  TRY(const auto api, session.api());
  if (!it.follow) return print_logs(session, api, id, it.attempt);
  TRY(const auto run, follow_logs(session, api, id, it.attempt, std::nullopt));
  session.talk(result_line(run));
  return Exit::ok;  // reading along succeeded, whatever became of the run
}

Verb logs_verb(Session& session) {
  auto it = std::make_shared<LogOptions>();
  return {"logs",
          "Print the output of a run.",
          {run_argument(it->id),
           {.names = "-f,--follow", .value = {}, .doc = "go on until the run has ended", .into = &it->follow},
           {.names = "--attempt", .value = "N", .doc = "default: the last one", .into = &it->attempt}},
          [&session, it] { return logs(session, *it); }};
}

struct WaitOptions {
  std::string id;
  std::optional<std::string> timeout;
};

std::vector<Option> wait_options(WaitOptions& it) {
  return {run_argument(it.id), {.names = "--timeout", .value = "10m", .doc = "at most so long", .into = &it.timeout}};
}

Outcome<std::optional<Seconds>> limit_of(const WaitOptions& it) {
  if (!it.timeout) return std::nullopt;
  TRY(const auto max, parse_duration(*it.timeout, "--timeout"));
  return max;
}

Verb wait_verb(Session& session) {
  auto it = std::make_shared<WaitOptions>();
  return {"wait", "Wait until a run has ended; exit code 7 unless it succeeded.", wait_options(*it),
          [&session, it]() -> Outcome<Exit> {
            TRY(const auto id, run_id(it->id));
            TRY(const auto max, limit_of(*it));
            TRY(const auto api, session.api());
            TRY(const auto run, wait_for_run(session, api, id, max));
            session.output().one(run);
            session.talk(result_line(run));
            return exit_of_run(run);
          }};
}

void print_change(const Session& session, const json::value& run) {
  if (session.format != "table") return session.output().event(run);
  session.ports.out << fmt::format("{:<10}  attempt {}  worker {}\n", member_text(run, "state"),
                                   member_text(run, "attempt"), member_text(run, "worker"));
  session.ports.out.flush();
}

Verb watch_verb(Session& session) {
  auto it = std::make_shared<WaitOptions>();
  return {"watch", "Show each change of a run until it has ended; exit code 7 unless it succeeded.", wait_options(*it),
          [&session, it]() -> Outcome<Exit> {
            TRY(const auto id, run_id(it->id));
            TRY(const auto max, limit_of(*it));
            TRY(const auto api, session.api());
            TRY(const auto run,
                watch_run(session, api, id, max, [&](const json::value& now) { print_change(session, now); }));
            session.talk(result_line(run));
            return exit_of_run(run);
          }};
}

Verb cancel_verb(Session& session) {
  auto id = std::make_shared<std::string>();
  return {
      "cancel", "Stop a run.", {run_argument(*id)}, [&session, id]() -> Outcome<Exit> {
        TRY(const auto run, run_id(*id));
        TRY(const auto api, session.api());
        TRY(const auto data, api.send("POST", fmt::format("/api/runs/{}/cancel", run), nullptr));
        session.output().one(data);
        if (member_text(data, "state") != "cancelled")
          session.talk(fmt::format("its worker was told to stop it; scheduler-cli run wait {} shows when it has", run));
        return Exit::ok;
      }};
}

Verb retry_verb(Session& session) {
  struct Options {
    std::string id;
    bool downstream = false;
    bool group = false;
  };
  auto it = std::make_shared<Options>();
  return {"retry",
          "Run it once more, as a new run with the same parameters.",
          {run_argument(it->id),
           {.names = "--downstream",
            .value = {},
            .doc = "and what was skipped because of it, if it ends well",
            .into = &it->downstream},
           {.names = "--group",
            .value = {},
            .doc = "all shards of its fire that failed, ran out of time or were cancelled",
            .into = &it->group}},
          [&session, it]() -> Outcome<Exit> {
            if (it->group && it->downstream)
              return failed(Exit::usage,
                            "--group and --downstream exclude each other: nothing downstream of a shard was skipped");
            TRY(const auto run, run_id(it->id));
            TRY(const auto api, session.api());
            const auto body = it->downstream ? json::value(json::object{{"downstream", true}}) : json::value();
            TRY(const auto data,
                api.send("POST", fmt::format("/api/runs/{}{}/retry", run, it->group ? "/group" : ""), body));
            auto runs = array_in(data, "runs");
            for (const auto& again : array_in(data, "downstream")) runs.push_back(again);
            session.output().list(data, runs, kRunColumns);
            return Exit::ok;
          }};
}

Verb group_verb(Session& session) {
  auto id = std::make_shared<std::string>();
  return {"group",
          "Show all shards of the fire that a run belongs to.",
          {run_argument(*id)},
          [&session, id]() -> Outcome<Exit> {
            static const std::vector<Column> kShards = {
                {"SHARD", "shard_index"}, {"ID", "id"},         {"STATE", "state"},  {"ATTEMPT", "attempt"},
                {"TOOK", "duration_ms"},  {"WORKER", "worker"}, {"REASON", "reason"}};
            TRY(const auto run, run_id(*id));
            TRY(const auto api, session.api());
            TRY(const auto data, api.get(fmt::format("/api/runs/{}/group", run)));
            session.output().list(data, array_in(data, "runs"), kShards);
            session.talk(fmt::format("group {}: {}, {} shards", member_text(data, "group_id"),
                                     member_text(data, "state"), member_text(data, "shards")));
            return Exit::ok;
          }};
}

Verb attempts_verb(Session& session) {
  auto id = std::make_shared<std::string>();
  return {"attempts", "Show each attempt of a run.", {run_argument(*id)}, [&session, id]() -> Outcome<Exit> {
            TRY(const auto run, run_id(*id));
            TRY(const auto api, session.api());
            TRY(const auto data, api.get(fmt::format("/api/runs/{}/attempts", run)));
            const auto items = array_in(data, "items");
            session.output().list(data, items, kAttemptColumns);
            if (items.empty() && session.format == "table") session.talk("no attempt yet");
            return Exit::ok;
          }};
}

Verb output_verb(Session& session) {
  auto id = std::make_shared<std::string>();
  return {"output",
          "Print what a run left for those that run after it, as JSON.",
          {run_argument(*id)},
          [&session, id]() -> Outcome<Exit> {
            TRY(const auto run, run_id(*id));
            TRY(const auto api, session.api());
            TRY(const auto data, api.get(fmt::format("/api/runs/{}/output", run)));
            const auto* output = member_of(data, "output");
            if (session.format == "table")
              session.ports.out << output_line(json::serialize(output ? *output : json::value())) << '\n';
            else
              session.output().one(output ? *output : json::value());
            return Exit::ok;
          }};
}

Verb upstreams_verb(Session& session) {
  auto id = std::make_shared<std::string>();
  return {"upstreams", "Show what a run waits or waited for.", {run_argument(*id)}, [&session, id]() -> Outcome<Exit> {
            TRY(const auto run, run_id(*id));
            TRY(const auto api, session.api());
            TRY(const auto data, api.get(fmt::format("/api/runs/{}/upstreams", run)));
            const auto items = array_in(data, "items");
            session.output().list(data, items, kUpstreamColumns);
            if (items.empty() && session.format == "table") session.talk("it waits for no other run");
            return Exit::ok;
          }};
}

Verb why_verb(Session& session) {
  auto id = std::make_shared<std::string>();
  return {"why",
          "Say why a run has not started, or why it ended as it did.",
          {run_argument(*id)},
          [&session, id]() -> Outcome<Exit> {
            TRY(const auto run, run_id(*id));
            TRY(const auto api, session.api());
            TRY(const auto data, api.get(fmt::format("/api/runs/{}/why", run)));
            show_gates(session, data);
            return Exit::ok;
          }};
}

}  // namespace

Noun run_commands(Session& session) {
  return {"run",
          "Runs: one execution of a task each.",
          {list_verb(session), get_verb(session), logs_verb(session), watch_verb(session), wait_verb(session),
           cancel_verb(session), retry_verb(session), group_verb(session), attempts_verb(session),
           upstreams_verb(session), output_verb(session), why_verb(session)}};
}

}  // namespace scheduler::cli
