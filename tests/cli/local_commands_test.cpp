#include "cli/cli_support.hpp"
#include "config/app_config.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace scheduler;
using namespace scheduler::cli;
using application::MigrationStatus;
using testing::HasSubstr;

namespace {

// What was asked of the schema, and where.
struct Asked {
  std::string urls, calls;
};

class FakeSchema final : public application::SchemaAdmin {
 public:
  FakeSchema(Asked& asked, bool newer) : asked_(asked), newer_(newer) {}
  SchedulerResult<int> run() override {
    asked_.calls += "run ";
    if (newer_) return fail(ErrorKind::Config, "the schema is newer than this program");
    return 2;
  }
  SchedulerResult<std::vector<MigrationStatus>> status() override {
    return std::vector<MigrationStatus>{{1, "create_tasks", *parse_rfc3339("2026-01-01T00:00:00Z")},
                                        {2, "add_labels", {}}};
  }
  SchedulerResult<void> reset() override {
    asked_.calls += "reset ";
    return {};
  }

 private:
  Asked& asked_;
  bool newer_;
};

World with_schema(Asked& asked, bool newer = false) {
  return {.open_schema = [&asked,
                          newer](const std::string& url) -> SchedulerResult<std::unique_ptr<application::SchemaAdmin>> {
    asked.urls += url + " ";
    return std::make_unique<FakeSchema>(asked, newer);
  }};
}

class TempFile {
 public:
  explicit TempFile(std::string_view text)
      : path((std::filesystem::temp_directory_path() / fmt::format("scheduler-cli-{}.toml", ::getpid())).string()) {
    std::ofstream(path) << text;
  }
  ~TempFile() { std::filesystem::remove(path); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::string path;
};

}  // namespace

TEST(Migrate, Run_AppliesToTheStoreOfTheSettings) {
  Asked asked;
  const auto ran = run_cli_alone({"migrate", "run"}, with_schema(asked));
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "sqlite:./data/scheduler.db: applied 2 migrations\n");
  EXPECT_EQ(asked.urls, "sqlite:./data/scheduler.db ");
  EXPECT_EQ(run_cli_alone({"migrate", "run", "--database-url", "sqlite:/x.db", "-o", "json"}, with_schema(asked)).out,
            "{\n  \"database\": \"sqlite:/x.db\",\n  \"applied\": 2\n}\n");
}

TEST(Migrate, DataDir_IsWhereTheDatabaseLives) {
  const TempFile file("data_dir = \"/from/file\"\n");
  const struct {
    std::vector<std::string> words;
    std::map<std::string, std::string> environment;
    std::string_view url;
  } rows[] = {
      {{"--config", file.path}, {}, "sqlite:/from/file/scheduler.db "},
      {{"--config", file.path},
       {{"SCHEDULER_DATA_DIR", "/from/environment"}},
       "sqlite:/from/environment/scheduler.db "},
      {{"--config", file.path, "--data-dir", "/from/flag"},
       {{"SCHEDULER_DATA_DIR", "/from/environment"}},
       "sqlite:/from/flag/scheduler.db "},
      {{"--data-dir", "/from/flag", "--database-url", "sqlite:/x.db"}, {}, "sqlite:/x.db "},
  };
  for (const std::string verb : {"run", "status", "reset"})
    for (const auto& row : rows) {
      Asked asked;
      auto world = with_schema(asked);
      world.environment = row.environment;
      std::vector<std::string> words = {"migrate", verb};
      words.insert(words.end(), row.words.begin(), row.words.end());
      if (verb == "reset") words.emplace_back("--yes");
      const auto ran = run_cli_alone(words, std::move(world));
      EXPECT_EQ(ran.exit, 0) << ran.err;
      EXPECT_EQ(asked.urls, row.url) << verb;
    }
}

TEST(Migrate, Status_IsATable) {
  Asked asked;
  EXPECT_EQ(run_cli_alone({"migrate", "status"}, with_schema(asked)).out,
            "VERSION  NAME          APPLIED\n1        create_tasks  2026-01-01T00:00:00Z\n2        add_labels    -\n");
}

TEST(Migrate, ResetWithoutYes_DoesNothing) {
  Asked asked;
  const auto refused = run_cli_alone({"migrate", "reset"}, with_schema(asked));
  EXPECT_EQ(refused.exit, 2);
  EXPECT_THAT(refused.err, HasSubstr("add --yes to do it"));
  EXPECT_EQ(asked.urls, "");
  EXPECT_EQ(run_cli_alone({"migrate", "reset", "--yes"}, with_schema(asked)).exit, 0);
  EXPECT_EQ(asked.calls, "reset ");
}

TEST(Migrate, Faults_HaveTheirExitCode) {
  Asked asked;
  EXPECT_EQ(run_cli_alone({"migrate", "run"}, with_schema(asked, true)).exit, 5);
  EXPECT_EQ(run_cli_alone({"migrate", "run"}).exit, 1);
  EXPECT_EQ(run_cli_alone({"migrate", "run", "--database-url", "postgresql://x"}, with_schema(asked)).exit, 5);
}

TEST(Config, Show_IsTheSettingsInForce) {
  const TempFile file("[worker]\nslots = 3\n");
  const auto ran =
      run_cli_alone({"config", "show", "--config", file.path}, {.environment = {{"SCHEDULER_LOG__LEVEL", "debug"}}});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("slots = 3\n"));
  EXPECT_THAT(ran.out, HasSubstr("level = \"debug\"\n"));
}

TEST(Config, Validate_ListsEveryFault) {
  const TempFile file("[worker]\nslots = 0\n[log]\nlevl = 1\n");
  const auto bad = run_cli_alone({"config", "validate", file.path});
  EXPECT_EQ(bad.exit, 5);
  EXPECT_THAT(bad.err, HasSubstr(file.path + ":2: worker.slots: 0 is out of range"));
  EXPECT_THAT(bad.err, HasSubstr(file.path + ":4: log.levl: is not a setting"));
  const auto good = run_cli_alone({"config", "validate"}, {.environment = {{"SCHEDULER_CONFIG", ""}}});
  EXPECT_EQ(good.exit, 0);
  EXPECT_EQ(good.err, "the settings are good\n");
}

TEST(Config, Example_IsTheShippedFile) { EXPECT_EQ(run_cli_alone({"config", "example"}).out, config::example_toml()); }

TEST(Version, EitherSpelling_IsTheSame) {
  EXPECT_EQ(run_cli_alone({"version"}).out, "scheduler-cli 1.2.3\n");
  EXPECT_EQ(run_cli_alone({"--version"}).out, "scheduler-cli 1.2.3\n");
  EXPECT_THAT(run_cli_alone({"version", "-o", "json"}).out, HasSubstr("\"version\": \"1.2.3\""));
}

namespace {

// What bash offers for this command line, sorted.
std::string bash_completes(const std::string& script, const std::string& words) {
  const TempFile file(script + fmt::format("\nCOMP_WORDS=({})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}}-1))\n_scheduler_cli\n"
                                           "printf '%s ' \"${{COMPREPLY[@]}}\"\n",
                                           words));
  std::string out;
  std::FILE* bash = ::popen(("bash " + file.path + " 2>&1").c_str(), "r");
  for (int c = std::fgetc(bash); c != EOF; c = std::fgetc(bash)) out += static_cast<char>(c);
  ::pclose(bash);
  return out;
}

}  // namespace

TEST(Completion, Bash_CompletesNounsVerbsOptionsAndWords) {
  const auto script = run_cli_alone({"completion", "bash"}).out;
  EXPECT_EQ(bash_completes(script, "scheduler-cli t"), "task ");
  EXPECT_EQ(bash_completes(script, "scheduler-cli task tr"), "trigger ");
  EXPECT_EQ(bash_completes(script, "scheduler-cli task trigger x --wa"), "--wait ");
  EXPECT_EQ(bash_completes(script, "scheduler-cli task list --output ''"), "table json yaml ");
  EXPECT_EQ(bash_completes(script, "scheduler-cli task list --status p"), "paused ");
  EXPECT_EQ(bash_completes(script, "scheduler-cli completion f"), "fish ");
}

TEST(Completion, EveryShell_KnowsEveryVerb) {
  for (const auto* shell : {"bash", "zsh", "fish"}) {
    const auto ran = run_cli_alone({"completion", shell});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    for (const auto* word :
         {"task", "trigger", "preview", "undrain", "health", "migrate", "idempotency-key", "at_most_once"})
      EXPECT_THAT(ran.out, HasSubstr(word)) << shell;
  }
  EXPECT_EQ(run_cli_alone({"completion", "csh"}).exit, 2);
}
