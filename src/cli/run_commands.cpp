// Runs: look, read along, wait, stop, do again.
#include "cli/commands.hpp"
#include "cli/follow_run.hpp"
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
const std::vector<std::string> kStates = {"waiting", "pending",   "dispatched", "running", "succeeded",
                                          "failed",  "timed_out", "cancelled",  "skipped"};

json::array items_of(const json::value& data, std::string_view member = "items") {
  const auto* items = data.is_object() ? data.get_object().if_contains(member) : nullptr;
  return items && items->is_array() ? items->get_array() : json::array();
}

Option run_argument(std::string& into) {
  return {.names = "ID", .value = "ID", .doc = "of the run", .into = &into, .required = true};
}

struct ListOptions {
  std::optional<std::string> task, state, trigger, worker, cursor;
  std::optional<int> limit, page;
};

Outcome<Exit> list(const Session& session, const ListOptions& it) {
  TRY(const auto api, session.api());
  std::optional<std::string> task;
  if (it.task) {
    TRY(task, api.task_id(*it.task));
  }
  Query query;
  query.add("task_id", task).add("state", it.state).add("trigger", it.trigger).add("worker", it.worker);
  if (it.cursor)
    query.add("cursor", it.cursor).add("limit", it.limit);
  else
    query.add("page", it.page).add("page_size", it.limit);
  TRY(const auto data, api.get("/api/runs" + query.text()));
  const auto items = items_of(data);
  session.output().list(data, items, kRunColumns);
  if (session.format != "table") return Exit::ok;
  if (items.empty()) return session.talk("no runs"), Exit::ok;
  if (const auto* cursor = data.get_object().if_contains("next_cursor"); cursor && !cursor->is_null())
    session.talk(fmt::format("more runs follow; --cursor {} shows them", cell_of(*cursor)));
  return Exit::ok;
}

Verb list_verb(Session& session) {
  auto it = std::make_shared<ListOptions>();
  return {"list",
          "Show runs, newest first.",
          {{.names = "--task", .value = "TASK", .doc = "only of this one, id or name", .into = &it->task},
           {.names = "--state", .value = "STATE", .doc = "only these", .into = &it->state, .words = kStates},
           {.names = "--trigger",
            .value = "WHO",
            .doc = "only those",
            .into = &it->trigger,
            .words = {"schedule", "manual", "dependency", "retry"}},
           {.names = "--worker", .value = "ID", .doc = "only on this one", .into = &it->worker},
           {.names = "--limit", .value = "N", .doc = "at most so many, 1 to 100; default 20", .into = &it->limit},
           {.names = "--page", .value = "N", .doc = "counted from 1", .into = &it->page},
           {.names = "--cursor", .value = "CURSOR", .doc = "go on after the page that named it", .into = &it->cursor}},
          [&session, it] { return list(session, *it); }};
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
    const auto lines = items_of(page, "lines");
    if (lines.empty()) break;
    for (const auto& line : lines) {
      const auto* text = line.is_object() ? line.get_object().if_contains("text") : nullptr;
      if (session.format != "table")
        all.push_back(line);
      else if (text && text->is_string())
        session.ports.out << std::string_view(text->get_string()) << '\n';
    }
    const auto* next = page.get_object().if_contains("next_after_line");
    if (!next || !next->is_int64() || std::to_string(next->get_int64()) == after) break;
    after = std::to_string(next->get_int64());
    // Later pages are of the same attempt, even if a retry has begun meanwhile.
    if (const auto* of = page.get_object().if_contains("attempt"); of && of->is_int64() && of->get_int64() > 0)
      attempt = static_cast<int>(of->get_int64());
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
  const auto& object = run.get_object();
  const auto cell = [&](const char* name) {
    const auto* member = object.if_contains(name);
    return member ? cell_of(*member) : std::string("-");
  };
  session.ports.out << fmt::format("{:<10}  attempt {}  worker {}\n", cell("state"), cell("attempt"), cell("worker"));
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
        const auto* state = data.is_object() ? data.get_object().if_contains("state") : nullptr;
        if (state && cell_of(*state) != "cancelled")
          session.talk(fmt::format("its worker was told to stop it; scheduler-cli run wait {} shows when it has", run));
        return Exit::ok;
      }};
}

Verb retry_verb(Session& session) {
  auto id = std::make_shared<std::string>();
  return {"retry",
          "Run it once more, as a new run with the same parameters.",
          {run_argument(*id)},
          [&session, id]() -> Outcome<Exit> {
            TRY(const auto run, run_id(*id));
            TRY(const auto api, session.api());
            TRY(const auto data, api.send("POST", fmt::format("/api/runs/{}/retry", run), nullptr));
            session.output().list(data, items_of(data, "runs"), kRunColumns);
            return Exit::ok;
          }};
}

Verb attempts_verb(Session& session) {
  auto id = std::make_shared<std::string>();
  return {"attempts", "Show each attempt of a run.", {run_argument(*id)}, [&session, id]() -> Outcome<Exit> {
            TRY(const auto run, run_id(*id));
            TRY(const auto api, session.api());
            TRY(const auto data, api.get(fmt::format("/api/runs/{}/attempts", run)));
            const auto items = items_of(data);
            session.output().list(data, items, kAttemptColumns);
            if (items.empty() && session.format == "table") session.talk("no attempt yet");
            return Exit::ok;
          }};
}

}  // namespace

Noun run_commands(Session& session) {
  return {"run",
          "Runs: one execution of a task each.",
          {list_verb(session), get_verb(session), logs_verb(session), watch_verb(session), wait_verb(session),
           cancel_verb(session), retry_verb(session), attempts_verb(session)}};
}

}  // namespace scheduler::cli
