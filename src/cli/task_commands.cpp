// Tasks: define, look, run now.
#include "cli/commands.hpp"
#include "cli/follow_run.hpp"
#include "cli/gates.hpp"
#include "cli/paging_options.hpp"
#include "cli/text.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

namespace scheduler::cli {
namespace {

const std::vector<Column> kTaskColumns = {{"ID", "id"},
                                          {"NAME", "name"},
                                          {"TYPE", "task_type"},
                                          {"STATUS", "status"},
                                          {"SCHEDULE", "schedule"},
                                          {"ZONE", "timezone"},
                                          {"NEXT FIRE", "next_fire_at"}};
const std::vector<Column> kRunColumns = {{"ID", "id"},        {"STATE", "state"},     {"TRIGGER", "trigger"},
                                         {"DUE", "due_at"},   {"ATTEMPT", "attempt"}, {"TOOK", "duration_ms"},
                                         {"REASON", "reason"}};

// ---- what a task is made of, on the command line ----------------------------------------------------------------

// The options of `create` and `update`; what was not given stays out of the body.
struct TaskOptions {
  std::optional<std::string> name, file, type, command, description, schedule, timezone, parameters, timeout;
  std::optional<std::string> trigger_rule, overlap, misfire, delivery;
  std::vector<std::string> params, labels, worker_labels, upstream;
  std::optional<int> retries, priority, shards;
  bool paused = false, no_schedule = false;
};

std::vector<Option> task_options(TaskOptions& it) {
  return {
      {.names = "-f,--file",
       .value = "FILE",
       .doc = "a JSON object with the fields; - reads standard input; options override it",
       .into = &it.file},
      {.names = "--type",
       .value = "TYPE",
       .doc = "shell, http, python or noop; shell where --command is given",
       .into = &it.type},
      {.names = "--command", .value = "TEXT", .doc = "the shell command: parameter 'command'", .into = &it.command},
      {.names = "--schedule",
       .value = "TEXT",
       .doc = "cron, @every 90s, @daily, @at INSTANT; without one the task runs by hand or after others",
       .into = &it.schedule},
      {.names = "--no-schedule", .value = {}, .doc = "take the schedule away", .into = &it.no_schedule},
      {.names = "--timezone",
       .value = "ZONE",
       .doc = "of the schedule, for example Europe/Berlin; default UTC",
       .into = &it.timezone},
      {.names = "--description", .value = "TEXT", .doc = "for people", .into = &it.description},
      {.names = "--parameters",
       .value = "JSON",
       .doc = "the parameters as a JSON object, @FILE or - for standard input",
       .into = &it.parameters},
      {.names = "--param",
       .value = "KEY=VALUE",
       .doc = "one parameter as text; KEY:=JSON for anything else; may be repeated",
       .into = &it.params},
      {.names = "--timeout", .value = "30s", .doc = "of one attempt; default 5m", .into = &it.timeout},
      {.names = "--retries", .value = "N", .doc = "attempts after the first, 0 to 10", .into = &it.retries},
      {.names = "--label", .value = "KEY=VALUE", .doc = "for people; may be repeated", .into = &it.labels},
      {.names = "--worker-label",
       .value = "KEY=VALUE",
       .doc = "a worker must bear it; may be repeated",
       .into = &it.worker_labels},
      {.names = "--depends-on",
       .value = "TASK",
       .doc = "runs after that task, id or name; may be repeated",
       .into = &it.upstream},
      {.names = "--trigger-rule",
       .value = "RULE",
       .doc = "how the upstream runs must have ended",
       .into = &it.trigger_rule,
       .words = {"all_success", "all_done", "any_success", "none_failed"}},
      {.names = "--overlap",
       .value = "POLICY",
       .doc = "when an earlier run still goes",
       .into = &it.overlap,
       .words = {"allow", "forbid", "queue_one", "replace"}},
      {.names = "--misfire",
       .value = "POLICY",
       .doc = "what to do with missed fire times",
       .into = &it.misfire,
       .words = {"skip", "latest", "all"}},
      {.names = "--delivery",
       .value = "PROMISE",
       .doc = "when a worker is lost: again, or never twice",
       .into = &it.delivery,
       .words = {"at_least_once", "at_most_once"}},
      {.names = "--priority", .value = "N", .doc = "0 to 9, 9 first; default 5", .into = &it.priority},
      {.names = "--shards", .value = "N", .doc = "runs per fire; default 1", .into = &it.shards},
      {.names = "--paused", .value = {}, .doc = "the schedule does not fire until task resume", .into = &it.paused},
  };
}

Outcome<json::object> parse_object(std::string_view text, std::string_view what) {
  boost::system::error_code fault;
  auto value = json::parse(json::string_view(text.data(), text.size()), fault);
  if (fault) return failed(Exit::usage, fmt::format("{} is not JSON: {}", what, fault.message()));
  if (!value.is_object())
    return failed(Exit::usage, fmt::format("{} must be a JSON object, like {{\"key\": \"value\"}}", what));
  return std::move(value.get_object());
}

// JSON, @FILE or -.
Outcome<json::object> read_parameters(const Session& session, const std::string& given) {
  const bool is_file = given == "-" || given.starts_with('@');
  TRY(const auto text,
      is_file ? session.read_file(given == "-" ? given : given.substr(1)) : Outcome<std::string>(given));
  return parse_object(text, "--parameters");
}

// "key=value" is text; "key:=3" is JSON.
Outcome<void> set_param(json::object& parameters, const std::string& given) {
  TRY(auto pair, parse_pair(given, "--param"));
  auto& [key, value] = pair;
  if (!key.ends_with(':')) {
    parameters[key] = value;
    return {};
  }
  key.pop_back();
  boost::system::error_code fault;
  parameters[key] = json::parse(value, fault);
  if (fault || key.empty())
    return failed(Exit::usage, fmt::format("--param: '{}' must be written as key:=JSON", given));
  return {};
}

// Nothing where none of the three options was given.
Outcome<std::optional<json::object>> read_all_parameters(const Session& session,
                                                         const std::optional<std::string>& whole,
                                                         const std::vector<std::string>& single,
                                                         const std::optional<std::string>& command) {
  if (!whole && single.empty() && !command) return std::nullopt;
  json::object parameters;
  if (whole) {
    TRY(parameters, read_parameters(session, *whole));
  }
  if (command) parameters["command"] = *command;
  for (const auto& param : single) CHECK(set_param(parameters, param));
  return parameters;
}

Outcome<void> set_labels(json::object& body, const char* field, const std::vector<std::string>& given,
                         const char* option) {
  if (given.empty()) return {};
  json::object labels;
  for (const auto& label : given) {
    TRY(const auto pair, parse_pair(label, option));
    labels[pair.first] = pair.second;
  }
  body[field] = labels;
  return {};
}

template <class T>
void set_if(json::object& body, const char* field, const std::optional<T>& value) {
  if (value) body[field] = *value;
}

// Members of the file stay, but for those that an option names. A command implies the type only of a new task.
Outcome<json::object> task_body(const Session& session, const TaskOptions& it, bool is_new) {
  json::object body;
  if (it.file) {
    TRY(const auto text, session.read_file(*it.file));
    TRY(body, parse_object(text, *it.file == "-" ? "standard input" : *it.file));
  }
  set_if(body, "name", it.name);
  if (is_new && it.command && !it.type && !body.contains("task_type")) body["task_type"] = "shell";
  set_if(body, "task_type", it.type);
  set_if(body, "description", it.description);
  set_if(body, "schedule", it.schedule);
  if (it.no_schedule) body["schedule"] = nullptr;
  set_if(body, "timezone", it.timezone);
  if (it.timeout) {
    TRY(const auto timeout, parse_duration(*it.timeout, "--timeout"));
    body["timeout_seconds"] = timeout.count();
  }
  set_if(body, "max_retries", it.retries);
  set_if(body, "priority", it.priority);
  set_if(body, "shard_count", it.shards);
  set_if(body, "trigger_rule", it.trigger_rule);
  set_if(body, "overlap_policy", it.overlap);
  set_if(body, "misfire_policy", it.misfire);
  set_if(body, "delivery", it.delivery);
  if (it.paused) body["status"] = "paused";
  CHECK(set_labels(body, "labels", it.labels, "--label"));
  CHECK(set_labels(body, "worker_labels", it.worker_labels, "--worker-label"));
  if (!it.upstream.empty()) {
    json::array upstream;
    for (const auto& task : it.upstream)
      parse_id(task) ? upstream.emplace_back(*parse_id(task)) : upstream.emplace_back(task);
    body["dependencies"] = upstream;
  }
  TRY(auto parameters, read_all_parameters(session, it.parameters, it.params, it.command));
  if (!parameters) return body;
  auto& all = body["parameters"];
  if (!all.is_object() || it.parameters) all = json::object();
  for (auto& [key, value] : *parameters) all.get_object()[key] = value;
  return body;
}

// ---- commands -----------------------------------------------------------------------------------------------------

struct ListOptions {
  std::optional<std::string> status, type, search, label, state, trigger;
  PagingOptions paging;
};

Verb list_verb(Session& session) {
  auto it = std::make_shared<ListOptions>();
  std::vector<Option> options = {
      {.names = "--status", .value = "STATUS", .doc = "only these", .into = &it->status, .words = {"active", "paused"}},
      {.names = "--type", .value = "TYPE", .doc = "only of this executor", .into = &it->type},
      {.names = "--search", .value = "TEXT", .doc = "only names that hold it", .into = &it->search},
      {.names = "--label", .value = "KEY=VALUE", .doc = "only tasks that bear it", .into = &it->label},
  };
  add_paging(options, it->paging);
  return {"list", "Show tasks, newest first.", std::move(options), [&session, it]() -> Outcome<Exit> {
            Query query;
            add_paging(query, it->paging);
            query.add("status", it->status).add("task_type", it->type).add("q", it->search);
            if (it->label) {
              TRY(const auto label, parse_pair(*it->label, "--label"));
              query.add("label", std::optional(label.first + ":" + label.second));
            }
            TRY(const auto api, session.api());
            TRY(const auto data, api.get("/api/tasks" + query.text()));
            session.output().list(data, array_in(data, "items"), kTaskColumns);
            hint_at_more(session, data, "tasks");
            return Exit::ok;
          }};
}

Option task_argument(std::string& into) {
  return {.names = "TASK", .value = "TASK", .doc = "id or name", .into = &into, .required = true};
}

// GET or POST of something about one task, shown as it comes.
Verb one_task_verb(Session& session, std::string name, std::string doc, std::string method, std::string path) {
  auto task = std::make_shared<std::string>();
  return {std::move(name),
          std::move(doc),
          {task_argument(*task)},
          [&session, task, method = std::move(method), path = std::move(path)]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            TRY(const auto id, api.task_id(*task));
            const auto target = fmt::format("/api/tasks/{}{}", id, path);
            TRY(const auto data, method == "GET" ? api.get(target) : api.send(method, target, nullptr));
            if (!data.is_null()) session.output().one(data);
            if (method == "DELETE") session.talk(fmt::format("task {} is deleted; its history stays", *task));
            return Exit::ok;
          }};
}

Verb create_verb(Session& session) {
  auto it = std::make_shared<TaskOptions>();
  auto options = task_options(*it);
  options.insert(options.begin(),
                 {.names = "NAME", .value = "NAME", .doc = "unique; may come from the file", .into = &it->name});
  return {"create", "Define a task.", std::move(options), [&session, it]() -> Outcome<Exit> {
            TRY(const auto body, task_body(session, *it, true));
            if (!body.contains("name")) return failed(Exit::usage, "give the task a NAME, or a file with one (-f)");
            TRY(const auto api, session.api());
            TRY(const auto data, api.send("POST", "/api/tasks", body));
            session.output().one(data);
            return Exit::ok;
          }};
}

Verb update_verb(Session& session) {
  auto it = std::make_shared<TaskOptions>();
  auto task = std::make_shared<std::string>();
  auto options = task_options(*it);
  options.insert(options.begin(), {.names = "--name", .value = "NAME", .doc = "a new name", .into = &it->name});
  options.insert(options.begin(), task_argument(*task));
  return {"update", "Change some fields of a task; the others stay.", std::move(options),
          [&session, it, task]() -> Outcome<Exit> {
            TRY(const auto body, task_body(session, *it, false));
            if (body.empty())
              return failed(Exit::usage, "name a field to change; scheduler-cli task update --help lists them");
            TRY(const auto api, session.api());
            TRY(const auto id, api.task_id(*task));
            TRY(const auto data, api.send("PATCH", "/api/tasks/" + id, body));
            session.output().one(data);
            return Exit::ok;
          }};
}

struct TriggerOptions {
  std::string task;
  std::optional<std::string> parameters, timeout, idempotency_key;
  std::vector<std::string> params;
  bool wait = false, logs = false;
};

// Follows the runs one after the other; the worst result is the command's.
Outcome<Exit> await_runs(const Session& session, const ApiClient& api, const json::array& runs, bool logs,
                         std::optional<Seconds> max) {
  auto exit = Exit::ok;
  json::array ended;
  for (const auto& run : runs) {
    const auto id = member_text(run, "id");
    TRY(auto last, logs ? follow_logs(session, api, id, std::nullopt, max) : wait_for_run(session, api, id, max));
    session.talk(result_line(last));
    if (exit_of_run(last) != Exit::ok) exit = Exit::run_failed;
    ended.push_back(std::move(last));
  }
  if (!logs) session.output().list(json::object{{"runs", ended}}, ended, kRunColumns);
  return exit;
}

Outcome<Exit> trigger(const Session& session, const TriggerOptions& it) {
  std::optional<Seconds> max;
  if (it.timeout) {
    TRY(max, parse_duration(*it.timeout, "--timeout"));
  }
  TRY(const auto parameters, read_all_parameters(session, it.parameters, it.params, std::nullopt));
  json::value body;
  if (parameters) body = {{"parameters", *parameters}};
  std::vector<std::pair<std::string, std::string>> headers;
  if (it.idempotency_key) headers.emplace_back("Idempotency-Key", *it.idempotency_key);
  if (it.idempotency_key && !std::ranges::all_of(*it.idempotency_key, [](char c) { return c > ' ' && c < 0x7f; }))
    return failed(Exit::usage, "--idempotency-key: use printable ASCII characters without spaces");

  TRY(const auto api, session.api());
  TRY(const auto id, api.task_id(it.task));
  TRY(const auto data, api.send("POST", fmt::format("/api/tasks/{}/trigger", id), body, std::move(headers)));
  const auto runs = array_in(data, "runs");
  if (runs.empty() ||
      !std::ranges::all_of(runs, [](const auto& run) { return parse_id(member_text(run, "id")).has_value(); }))
    return failed(Exit::error, "the scheduler answered without runs; is the server of another version?");
  if (it.wait || it.logs) return await_runs(session, api, runs, it.logs, max);
  session.output().list(data, runs, kRunColumns);
  return Exit::ok;
}

Verb trigger_verb(Session& session) {
  auto it = std::make_shared<TriggerOptions>();
  return {"trigger",
          "Run a task now.",
          {task_argument(it->task),
           {.names = "--wait",
            .value = {},
            .doc = "until it has ended; exit code 7 unless it succeeded",
            .into = &it->wait},
           {.names = "--logs", .value = {}, .doc = "print its output as it comes; waits as well", .into = &it->logs},
           {.names = "--timeout", .value = "10m", .doc = "wait at most so long", .into = &it->timeout},
           {.names = "--param",
            .value = "KEY=VALUE",
            .doc = "for this run only; KEY:=JSON for anything but text; may be repeated",
            .into = &it->params},
           {.names = "--parameters",
            .value = "JSON",
            .doc = "for this run only: a JSON object, @FILE or -",
            .into = &it->parameters},
           {.names = "--idempotency-key",
            .value = "KEY",
            .doc = "the same key again makes no second run",
            .into = &it->idempotency_key}},
          [&session, it] { return trigger(session, *it); }};
}

Verb history_verb(Session& session) {
  auto it = std::make_shared<ListOptions>();
  auto task = std::make_shared<std::string>();
  std::vector<Option> options = {task_argument(*task),
                                 {.names = "--state", .value = "STATE", .doc = "only these", .into = &it->state},
                                 {.names = "--trigger",
                                  .value = "WHO",
                                  .doc = "only those",
                                  .into = &it->trigger,
                                  .words = {"schedule", "manual", "dependency", "retry"}}};
  add_paging(options, it->paging);
  return {"history", "Show the runs of a task, newest first.", std::move(options),
          [&session, it, task]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            TRY(const auto id, api.task_id(*task));
            Query query;
            add_paging(query, it->paging);
            query.add("state", it->state).add("trigger", it->trigger);
            TRY(const auto data, api.get(fmt::format("/api/tasks/{}/runs{}", id, query.text())));
            session.output().list(data, array_in(data, "items"), kRunColumns);
            hint_at_more(session, data, "runs");
            return Exit::ok;
          }};
}

struct NextOptions {
  std::string task;
  std::optional<std::string> from;
  std::optional<int> count;
};

Verb next_verb(Session& session) {
  auto it = std::make_shared<NextOptions>();
  return {"next",
          "Show when a task will fire next.",
          {task_argument(it->task),
           {.names = "-n,--count", .value = "N", .doc = "how many; default 5", .into = &it->count},
           {.names = "--from", .value = "INSTANT", .doc = "after this; default now", .into = &it->from}},
          [&session, it]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            TRY(const auto id, api.task_id(it->task));
            const auto query = Query().add("count", it->count).add("from", it->from).text();
            TRY(const auto data, api.get(fmt::format("/api/tasks/{}/next{}", id, query)));
            std::string lines;
            for (const auto& slot : array_in(data, "slots")) lines += cell_of(slot) + "\n";
            session.output().text(data, lines);
            if (lines.empty() && session.format == "table")
              session.talk("no fire times: the task has no schedule, or it is over");
            return Exit::ok;
          }};
}

Verb explain_verb(Session& session) {
  auto task = std::make_shared<std::string>();
  return {"explain",
          "Say what the next run of a task waits for.",
          {task_argument(*task)},
          [&session, task]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            TRY(const auto id, api.task_id(*task));
            TRY(const auto data, api.get(fmt::format("/api/tasks/{}/explain", id)));
            show_gates(session, data);
            return Exit::ok;
          }};
}

}  // namespace

Noun task_commands(Session& session) {
  return {"task",
          "Tasks: what is run, and when.",
          {list_verb(session), one_task_verb(session, "get", "Show one task.", "GET", ""), create_verb(session),
           update_verb(session), one_task_verb(session, "delete", "Delete a task; its history stays.", "DELETE", ""),
           trigger_verb(session), one_task_verb(session, "pause", "Let the schedule rest.", "POST", "/pause"),
           one_task_verb(session, "resume", "Let the schedule fire again.", "POST", "/resume"), history_verb(session),
           one_task_verb(session, "stats", "Show how the runs of a task ended.", "GET", "/stats"), next_verb(session),
           explain_verb(session), dependencies_verb(session)}};
}

}  // namespace scheduler::cli
