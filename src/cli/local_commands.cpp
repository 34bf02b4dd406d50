// Commands without the API: the schema of the store, the settings, the version.
#include "cli/commands.hpp"
#include "cli/text.hpp"
#include "config/app_config.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <ostream>

namespace scheduler::cli {
namespace {

const std::vector<Column> kMigrationColumns = {{"VERSION", "version"}, {"NAME", "name"}, {"APPLIED", "applied_at"}};

struct LocalOptions {
  std::optional<std::string> file, data_dir, database_url;
  bool yes = false;
};

Option file_option(LocalOptions& it) {
  return {
      .names = "--config", .value = "FILE", .doc = "TOML; else SCHEDULER_CONFIG, else the defaults", .into = &it.file};
}

Outcome<config::AppConfig> settings_of(const Session& session, const LocalOptions& it) {
  const auto path = it.file ? it.file : session.variable("SCHEDULER_CONFIG");
  std::map<std::string, std::string> overrides;
  if (it.data_dir) overrides["data_dir"] = *it.data_dir;
  if (it.database_url) overrides["database.url"] = *it.database_url;
  auto loaded = config::load_config(path.value_or(""), session.ports.environment, overrides);
  if (!loaded) return failed(std::move(loaded).error());
  return *std::move(loaded);
}

// ---- migrate ------------------------------------------------------------------------------------------------------

using Schema = std::unique_ptr<application::SchemaAdmin>;

Outcome<Schema> open_schema(const Session& session, const std::string& url) {
  if (!session.ports.open_schema) return failed(Exit::error, "this program was built without a store");
  auto schema = session.ports.open_schema(url);
  if (!schema) return failed(std::move(schema).error());
  return *std::move(schema);
}

Outcome<Exit> migrate(const Session& session, application::SchemaAdmin& schema, const std::string& url) {
  auto applied = schema.run();
  if (!applied) return failed(std::move(applied).error());
  session.output().text(json::object{{"database", url}, {"applied", *applied}},
                        *applied == 0
                            ? fmt::format("{} is up to date\n", url)
                            : fmt::format("{}: applied {} migration{}\n", url, *applied, *applied == 1 ? "" : "s"));
  return Exit::ok;
}

Outcome<Exit> show_status(const Session& session, application::SchemaAdmin& schema, const std::string&) {
  auto status = schema.status();
  if (!status) return failed(std::move(status).error());
  json::array items;
  for (const auto& it : *status)
    items.push_back({{"version", it.version},
                     {"name", it.name},
                     {"applied_at", it.applied_at ? json::value(format_rfc3339(*it.applied_at)) : json::value()}});
  session.output().list(json::object{{"items", items}}, items, kMigrationColumns);
  return Exit::ok;
}

Outcome<Exit> reset(const Session& session, application::SchemaAdmin& schema, const std::string& url) {
  if (auto done = schema.reset(); !done) return failed(std::move(done).error());
  session.talk(fmt::format("{} is empty; scheduler-cli migrate run makes its tables again", url));
  return Exit::ok;
}

Verb migrate_verb(Session& session, std::string name, std::string doc,
                  Outcome<Exit> (*act)(const Session&, application::SchemaAdmin&, const std::string&)) {
  auto it = std::make_shared<LocalOptions>();
  std::vector<Option> options = {file_option(*it),
                                 {.names = "--data-dir",
                                  .value = "DIR",
                                  .doc = "where the database lives; else data_dir of the settings",
                                  .into = &it->data_dir},
                                 {.names = "--database-url",
                                  .value = "URL",
                                  .doc = "sqlite:PATH; else database.url of the settings",
                                  .into = &it->database_url}};
  const bool destroys = act == reset;
  if (destroys) options.push_back({.names = "--yes", .value = {}, .doc = "really delete everything", .into = &it->yes});
  return {std::move(name), std::move(doc), std::move(options), [&session, it, act, destroys]() -> Outcome<Exit> {
            TRY(const auto settings, settings_of(session, *it));
            const auto url = "sqlite:" + config::sqlite_path(settings);
            if (destroys && !it->yes)
              return failed(Exit::usage,
                            fmt::format("this deletes all tasks, runs and history in {}; add --yes to do it", url));
            TRY(const auto schema, open_schema(session, url));
            return act(session, *schema, url);
          }};
}

// ---- config -------------------------------------------------------------------------------------------------------

Verb show_verb(Session& session) {
  auto it = std::make_shared<LocalOptions>();
  return {"show",
          "Show the settings in force as TOML, secrets left out.",
          {file_option(*it)},
          [&session, it]() -> Outcome<Exit> {
            TRY(const auto settings, settings_of(session, *it));
            const auto toml = config::to_toml(settings);
            session.output().text(json::object{{"toml", toml}}, toml);
            return Exit::ok;
          }};
}

Verb validate_verb(Session& session) {
  auto it = std::make_shared<LocalOptions>();
  return {"validate",
          "Check a settings file; exit code 5 when it has faults.",
          {{.names = "FILE", .value = "FILE", .doc = "TOML; else SCHEDULER_CONFIG", .into = &it->file}},
          [&session, it]() -> Outcome<Exit> {
            TRY(const auto settings, settings_of(session, *it));
            session.talk("the settings are good");
            return Exit::ok;
          }};
}

Verb example_verb(Session& session) {
  return {"example",
          "Print a settings file with every key, its default and what it means.",
          {},
          [&session]() -> Outcome<Exit> {
            session.ports.out << config::example_toml();
            return Exit::ok;
          }};
}

}  // namespace

Noun migrate_commands(Session& session) {
  return {"migrate",
          "The store's schema.",
          {migrate_verb(session, "run", "Bring it up to date; again is harmless.", migrate),
           migrate_verb(session, "status", "Show which migrations were applied.", show_status),
           migrate_verb(session, "reset", "Delete everything in the store.", reset)}};
}

Noun config_commands(Session& session) {
  return {"config", "The settings.", {show_verb(session), validate_verb(session), example_verb(session)}};
}

Noun version_command(Session& session) {
  return {"version",
          "Show the version of this program.",
          {Verb{"", "Show the version of this program.", {}, [&session]() -> Outcome<Exit> {
                  session.output().text(json::object{{"name", "scheduler-cli"}, {"version", session.ports.version}},
                                        fmt::format("scheduler-cli {}\n", session.ports.version));
                  return Exit::ok;
                }}}};
}

}  // namespace scheduler::cli
