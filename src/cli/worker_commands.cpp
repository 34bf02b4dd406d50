// Workers, and the system about itself.
#include "cli/commands.hpp"
#include "cli/text.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

namespace scheduler::cli {
namespace {

const std::vector<Column> kWorkerColumns = {{"ID", "id"},       {"STATE", "state"},      {"BUSY", "busy"},
                                            {"SLOTS", "slots"}, {"TYPES", "task_types"}, {"LABELS", "labels"},
                                            {"LOAD", "load"},   {"HOST", "host"},        {"HEARTBEAT", "heartbeat_at"}};
const std::vector<Column> kCheckColumns = {
    {"CHECK", "name"}, {"OK", "ok"}, {"TOOK", "took_ms"}, {"MESSAGE", "message"}};

const std::vector<Column> kRoomColumns = {
    {"TYPE", "task_type"}, {"WORKERS", "workers"}, {"SLOTS", "slots"}, {"BUSY", "busy"}, {"HELD", "held"}};

Verb list_verb(Session& session) {
  return {
      "list", "Show the workers.", {}, [&session]() -> Outcome<Exit> {
        TRY(const auto api, session.api());
        TRY(const auto data, api.get("/api/workers"));
        const auto items = array_in(data, "items");
        session.output().list(data, items, kWorkerColumns);
        if (items.empty() && session.format == "table")
          session.talk(
              "no workers; start scheduler-worker on any host that reaches the broker; a `scheduler` without a broker "
              "has one unless worker.enabled is false");
        return Exit::ok;
      }};
}

Verb one_worker_verb(Session& session, std::string name, std::string doc, std::string path) {
  auto id = std::make_shared<std::string>();
  return {std::move(name),
          std::move(doc),
          {{.names = "ID", .value = "ID", .doc = "of the worker", .into = id.get(), .required = true}},
          [&session, id, path = std::move(path)]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            const auto target = "/api/workers/" + url_encoded(*id) + path;
            TRY(const auto data, path.empty() ? api.get(target) : api.send("POST", target, nullptr));
            session.output().one(data);
            return Exit::ok;
          }};
}

Outcome<Exit> health(const Session& session) {
  TRY(const auto api, session.api());
  TRY(const auto data, api.get("/api/system/health"));
  session.output().list(data, array_in(data, "checks"), kCheckColumns);
  if (member_text(data, "ready") == "yes") return Exit::ok;
  session.talk("the scheduler is not ready");
  return Exit::error;
}

// As a table: how many there are, then the room for each type and for all of them.
Outcome<Exit> stats(const Session& session) {
  TRY(const auto api, session.api());
  TRY(const auto data, api.get("/api/workers/stats"));
  const auto* whole = data.if_object();
  if (!whole || !session.output().is_table()) {
    session.output().one(data);
    return Exit::ok;
  }
  json::object counts;
  for (const auto& [key, value] : *whole)
    if (value.is_number()) counts.emplace(key, value);
  session.output().one(counts);
  auto rooms = array_in(data, "by_type");
  if (const auto* all = whole->if_contains("all"); all && all->is_object()) {
    auto& row = rooms.emplace_back(*all).get_object();
    row["task_type"] = "(all)";
  }
  session.output().list(data, rooms, kRoomColumns);
  return Exit::ok;
}

Verb show_verb(Session& session, std::string name, std::string doc, std::string target) {
  return {std::move(name), std::move(doc), {}, [&session, target = std::move(target)]() -> Outcome<Exit> {
            TRY(const auto api, session.api());
            TRY(const auto data, api.get(target));
            session.output().one(data);
            return Exit::ok;
          }};
}

}  // namespace

Noun worker_commands(Session& session) {
  return {
      "worker",
      "Workers: where runs are executed.",
      {list_verb(session), one_worker_verb(session, "get", "Show one worker.", ""),
       Verb{"stats", "Show how many there are and how much room they have.", {}, [&session] { return stats(session); }},
       one_worker_verb(session, "drain", "Let a worker finish what it holds and take nothing new.", "/drain"),
       one_worker_verb(session, "undrain", "Let it take runs again.", "/undrain")}};
}

Noun system_commands(Session& session) {
  return {
      "system",
      "The system: is it well, and what is it doing?",
      {Verb{
           "health", "Check every part; exit code 1 when it is not ready.", {}, [&session] { return health(session); }},
       show_verb(session, "ready", "Is this process ready? Needs no account.", "/health/ready"),
       show_verb(session, "stats", "Show how much there is to do.", "/api/system/stats"),
       show_verb(session, "info", "Show what is running.", "/api/system/info")}};
}

}  // namespace scheduler::cli
