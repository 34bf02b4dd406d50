// Tasks: define, look, run now.
#include "cli/commands.hpp"
#include "cli/follow_run.hpp"
#include "cli/gates.hpp"
#include "cli/paging_options.hpp"
#include "cli/text.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <algorithm>

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
  std::optional<std::string> trigger_rule, overlap, misfire, misfire_grace, catch_up_window, delivery;
  std::vector<std::string> retry_reasons, retry_exit_codes, retry_http_statuses;
  std::optional<int> max_lost_attempts;
  std::vector<std::string> params, labels, worker_labels, upstream;
  std::optional<int> retries, priority, shards, max_concurrent, max_queued;
  bool paused = false, no_schedule = false, no_max_concurrent = false;
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
      {.names = "--retry-on",
       .value = "REASON",
       .doc = "only attempts that ended so are tried again; may be repeated",
       .into = &it.retry_reasons,
       .words = {"exit_code", "signal", "http_status", "executor_error", "timeout", "output_invalid"}},
      {.names = "--retry-exit-code",
       .value = "CODE",
       .doc = "of those that ended with an exit code, only these; may be repeated",
       .into = &it.retry_exit_codes},
      {.names = "--retry-http-status",
       .value = "STATUS",
       .doc = "of those whose answer was refused, only these; may be repeated",
       .into = &it.retry_http_statuses},
      {.names = "--max-lost-attempts",
       .value = "N",
       .doc = "workers it may lose before it is given up, 1 to 10; default 3",
       .into = &it.max_lost_attempts},
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
      {.names = "--misfire-grace",
       .value = "90s",
       .doc = "a fire time decided later than this was missed; 0 or a time, default 1m",
       .into = &it.misfire_grace},
      {.names = "--catch-up-window",
       .value = "6h",
       .doc = "missed fire times older than this are skipped in any case; none: no bound",
       .into = &it.catch_up_window},
      {.names = "--delivery",
       .value = "PROMISE",
       .doc = "when a worker is lost: again, or never twice",
       .into = &it.delivery,
       .words = {"at_least_once", "at_most_once"}},
      {.names = "--priority", .value = "N", .doc = "0 to 9, 9 first; default 5", .into = &it.priority},
      {.names = "--shards", .value = "N", .doc = "runs per fire; default 1", .into = &it.shards},
      {.names = "--max-concurrent",
       .value = "N",
       .doc = "runs of it that go at the same time, 1 to 10000; default: any number",
       .into = &it.max_concurrent},
      {.names = "--no-max-concurrent", .value = {}, .doc = "any number again", .into = &it.no_max_concurrent},
      {.names = "--max-queued",
       .value = "N",
       .doc = "runs of it that may be asked for before one begins; default 100000",
       .into = &it.max_queued},
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

Outcome<json::array> parse_codes(const std::vector<std::string>& given, std::string_view option) {
  json::array codes;
  for (const auto& text : given) {
    const auto code = parse_id(text);
    if (!code) return failed(Exit::usage, fmt::format("{}: '{}' is not a whole number", option, text));
    codes.emplace_back(*code);
  }
  return codes;
}

// What an option names replaces that list alone.
Outcome<void> set_retry_on(json::object& body, const TaskOptions& it) {
  TRY(auto exit_codes, parse_codes(it.retry_exit_codes, "--retry-exit-code"));
  TRY(auto http_statuses, parse_codes(it.retry_http_statuses, "--retry-http-status"));
  const auto set = [&body](const char* list, json::array items) {
    if (items.empty()) return;
    auto& rules = body["retry_on"];
    if (!rules.is_object()) rules.emplace_object();
    rules.get_object()[list] = std::move(items);
  };
  set("reasons", json::array(it.retry_reasons.begin(), it.retry_reasons.end()));
  set("exit_codes", std::move(exit_codes));
  set("http_statuses", std::move(http_statuses));
  return {};
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
  CHECK(set_retry_on(body, it));
  set_if(body, "max_lost_attempts", it.max_lost_attempts);
  set_if(body, "priority", it.priority);
  set_if(body, "shard_count", it.shards);
  set_if(body, "max_concurrent_runs", it.max_concurrent);
  if (it.no_max_concurrent) body["max_concurrent_runs"] = nullptr;
  set_if(body, "max_queued_runs", it.max_queued);
  set_if(body, "trigger_rule", it.trigger_rule);
  set_if(body, "overlap_policy", it.overlap);
  set_if(body, "misfire_policy", it.misfire);
  if (it.misfire_grace == "0") {
    body["misfire_grace_seconds"] = 0;
  } else if (it.misfire_grace) {
    TRY(const auto grace, parse_duration(*it.misfire_grace, "--misfire-grace"));
    body["misfire_grace_seconds"] = grace.count();
  }
  if (it.catch_up_window == "none") {
    body["catch_up_window_seconds"] = nullptr;
  } else if (it.catch_up_window) {
    TRY(const auto window, parse_duration(*it.catch_up_window, "--catch-up-window"));
    body["catch_up_window_seconds"] = window.count();
  }
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
  std::optional<std::string> task, bulk, parameters, timeout, idempotency_key, at, in;
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

// The items of a file: one JSON array, or one JSON object a line.
Outcome<json::array> read_bulk(const Session& session, const std::string& file) {
  TRY(const auto text, session.read_file(file));
  const auto name = file == "-" ? std::string("standard input") : file;
  boost::system::error_code fault;
  if (const auto begin = text.find_first_not_of(" \t\r\n"); begin != std::string::npos && text[begin] == '[') {
    auto whole = json::parse(text, fault);
    if (fault) return failed(Exit::usage, fmt::format("{} is not JSON: {}", name, fault.message()));
    return std::move(whole.get_array());
  }
  json::array items;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size(); ++number) {
    const auto end = std::min(text.find('\n', at), text.size());
    const auto line = text.substr(at, end - at);
    at = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    TRY(auto item, parse_object(line, fmt::format("line {} of {}", number + 1, name)));
    items.emplace_back(std::move(item));
  }
  return items;
}

Outcome<Exit> trigger_bulk(const Session& session, const TriggerOptions& it) {
  if (it.task || it.parameters || !it.params.empty() || it.idempotency_key || it.at || it.in || it.wait || it.logs)
    return failed(Exit::usage,
                  "--bulk stands alone: each item of the file says its task, parameters, idempotency_key "
                  "and run_at");
  TRY(const auto items, read_bulk(session, *it.bulk));
  TRY(const auto api, session.api());
  TRY(const auto data, api.send("POST", "/api/runs/bulk", json::object{{"items", items}}));
  static const std::vector<Column> kItems = {{"TASK", "task_id"}, {"RUNS", "run_ids"}, {"EXISTED", "existed"}};
  session.output().list(data, array_in(data, "items"), kItems);
  return Exit::ok;
}

// When it is to run; nothing: at once.
Outcome<std::optional<std::string>> run_at(const Session& session, const TriggerOptions& it) {
  if (it.at && it.in) return failed(Exit::usage, "give --at or --in, not both");
  if (!it.in) return it.at;
  TRY(const auto wait, parse_duration(*it.in, "--in"));
  return format_rfc3339(session.ports.clock.now() + wait);
}

Outcome<Exit> trigger(const Session& session, const TriggerOptions& it) {
  if (it.bulk) return trigger_bulk(session, it);
  if (!it.task) return failed(Exit::usage, "name a TASK, or a file with many: --bulk FILE");
  std::optional<Seconds> max;
  if (it.timeout) {
    TRY(max, parse_duration(*it.timeout, "--timeout"));
  }
  TRY(const auto parameters, read_all_parameters(session, it.parameters, it.params, std::nullopt));
  TRY(const auto at, run_at(session, it));
  json::value body;
  if (parameters) body.emplace_object()["parameters"] = *parameters;
  if (at) (body.is_object() ? body.get_object() : body.emplace_object())["run_at"] = *at;
  std::vector<std::pair<std::string, std::string>> headers;
  if (it.idempotency_key) headers.emplace_back("Idempotency-Key", *it.idempotency_key);
  if (it.idempotency_key && !std::ranges::all_of(*it.idempotency_key, [](char c) { return c > ' ' && c < 0x7f; }))
    return failed(Exit::usage, "--idempotency-key: use printable ASCII characters without spaces");

  TRY(const auto api, session.api());
  TRY(const auto id, api.task_id(*it.task));
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
          "Run a task, now or later; or many at once.",
          {{.names = "TASK", .value = "TASK", .doc = "id or name", .into = &it->task},
           {.names = "--at", .value = "INSTANT", .doc = "not before that, as 2026-03-29T01:30:00Z", .into = &it->at},
           {.names = "--in", .value = "90m", .doc = "not before so long from now", .into = &it->in},
           {.names = "--bulk",
            .value = "FILE",
            .doc = "up to 1000 at once, all or none: a JSON array, or an object a line, with task, parameters, "
                   "idempotency_key, run_at; - reads standard input",
            .into = &it->bulk},
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
