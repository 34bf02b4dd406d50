#include "config/app_config.hpp"

#include "config/bind_address.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

using namespace scheduler;
using namespace scheduler::config;
using testing::HasSubstr;

namespace {

using Words = std::map<std::string, std::string>;

// A file that is gone after the test.
class TempFile {
 public:
  explicit TempFile(std::string_view text) {
    static int count = 0;
    path_ = (std::filesystem::temp_directory_path() / fmt::format("scheduler-config-{}-{}.toml", ::getpid(), ++count))
                .string();
    std::ofstream(path_) << text;
  }
  ~TempFile() { std::filesystem::remove(path_); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string source_file(std::string_view name) { return fmt::format("{}/{}", SCHEDULER_SOURCE_DIR, name); }

// The message of a load that fails; the file's own path is written FILE.
std::string faults_of(std::string_view toml, const Words& environment = {}, const Words& overrides = {}) {
  const TempFile file(toml);
  const auto loaded = load_config(file.path(), environment, overrides);
  if (loaded) return "no fault";
  EXPECT_EQ(loaded.error().kind, ErrorKind::Config);
  auto message = loaded.error().message;
  for (auto at = message.find(file.path()); at != message.npos; at = message.find(file.path()))
    message.replace(at, file.path().size(), "FILE");
  return message;
}

}  // namespace

TEST(LoadConfig, NothingGiven_IsTheDefaults) {
  const auto loaded = load_config("", {}, {});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(to_toml(*loaded), to_toml(AppConfig{}));
  EXPECT_EQ(loaded->api.bind_address, "127.0.0.1:8080");
  EXPECT_EQ(store_url(*loaded), "sqlite:./data/scheduler.db");
}

TEST(LoadConfig, EveryKey_IsReadFromFile) {
  const TempFile file(R"(
data_dir = "/srv/x"
[api]
enabled = false
bind_address = "[::1]:0"
[database]
url = "sqlite:/srv/y.db"
max_connections = 64
[message_queue]
type = "redis_stream"
url = "redis://:s%40cret@[::1]:7000/3"
prefix = "night-shift"
[dispatcher]
enabled = false
strategy = "random"
worker_timeout_seconds = 100
[worker]
enabled = false
worker_id = "w-1.example"
slots = 4096
task_types = ["shell", "http"]
heartbeat_interval_seconds = 49
drain_timeout_seconds = 0
kill_grace_seconds = 300
[worker.labels]
zone = "a/1"
"disk" = "ssd"
[log]
level = "error"
format = "json"
)");
  const auto loaded = load_config(file.path(), {}, {});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->data_dir, "/srv/x");
  EXPECT_FALSE(loaded->api.enabled);
  EXPECT_EQ(loaded->api.bind_address, "[::1]:0");
  EXPECT_EQ(store_url(*loaded), "sqlite:/srv/y.db");
  EXPECT_EQ(loaded->database.max_connections, 64);
  EXPECT_EQ(loaded->message_queue.type, "redis_stream");
  EXPECT_EQ(loaded->message_queue.url, "redis://:s%40cret@[::1]:7000/3");
  EXPECT_EQ(loaded->message_queue.prefix, "night-shift");
  EXPECT_FALSE(loaded->dispatcher.enabled);
  EXPECT_EQ(loaded->dispatcher.strategy, "random");
  EXPECT_EQ(loaded->dispatcher.worker_timeout_seconds, 100);
  EXPECT_FALSE(loaded->worker.enabled);
  EXPECT_EQ(loaded->worker.worker_id, "w-1.example");
  EXPECT_EQ(loaded->worker.slots, 4096);
  EXPECT_THAT(loaded->worker.task_types, testing::ElementsAre("shell", "http"));
  EXPECT_EQ(loaded->worker.labels, (Words{{"disk", "ssd"}, {"zone", "a/1"}}));
  EXPECT_EQ(loaded->worker.heartbeat_interval_seconds, 49);
  EXPECT_EQ(loaded->worker.drain_timeout_seconds, 0);
  EXPECT_EQ(loaded->worker.kill_grace_seconds, 300);
  EXPECT_EQ(loaded->log.level, "error");
  EXPECT_EQ(loaded->log.format, "json");
}

TEST(LoadConfig, SeveralSources_TheLaterOneCounts) {
  const TempFile file("[worker]\nslots = 1\n[log]\nlevel = \"debug\"\nformat = \"json\"\n");
  const auto loaded = load_config(file.path(),
                                  {{"SCHEDULER_WORKER__SLOTS", "2"},
                                   {"SCHEDULER_LOG__LEVEL", "error"},
                                   {"SCHEDULER_WORKER__LABELS", "zone=a, disk=ssd"},
                                   {"SCHEDULER_WORKER__TASK_TYPES", "shell,http"},
                                   {"SCHEDULER_API__ENABLED", "false"},
                                   {"SCHEDULER_DATA_DIR", "/tmp/d"}},
                                  {{"worker.slots", "3"}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->worker.slots, 3);
  EXPECT_EQ(loaded->log.level, "error");
  EXPECT_EQ(loaded->log.format, "json");
  EXPECT_EQ(loaded->worker.labels, (Words{{"disk", "ssd"}, {"zone", "a"}}));
  EXPECT_THAT(loaded->worker.task_types, testing::ElementsAre("shell", "http"));
  EXPECT_FALSE(loaded->api.enabled);
  EXPECT_EQ(loaded->data_dir, "/tmp/d");
}

TEST(LoadConfig, VariableNamesAFile_ItsTextIsTheValue) {
  const TempFile secret("sqlite:/srv/secret.db\n");
  const auto loaded = load_config("", {{"SCHEDULER_DATABASE__URL_FILE", secret.path()}}, {});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->database.url, "sqlite:/srv/secret.db");
}

TEST(LoadConfig, VariablesGivenToTasks_AreIgnored) {
  const auto loaded = load_config("",
                                  {{"SCHEDULER_RUN_ID", "7"},
                                   {"SCHEDULER_TOKEN", "1"},
                                   {"SCHEDULER_API_URL", "http://x"},
                                   {"SCHEDULER_CONFIG", "a.toml"},
                                   {"SCHEDULER_COMPILE_WRAPPER", "x"}},
                                  {});
  EXPECT_TRUE(loaded) << loaded.error().message;
}

TEST(LoadConfig, EveryFault_NamesPlaceKeyAndRemedy) {
  const struct {
    std::string_view name, toml, message;
  } rows[] = {
      {"unknown key", "[worker]\nslotss = 3\n",
       "FILE:2: worker.slotss: is not a setting; did you mean 'worker.slots'?"},
      {"key in the wrong table", "slots = 3\n", "FILE:1: slots: is not a setting; did you mean 'worker.slots'?"},
      {"unknown table", "[qqqqq]\nzzzzzz = 3\n",
       "FILE:2: qqqqq.zzzzzz: is not a setting; scheduler-cli config example lists every setting"},
      {"unknown table without keys", "[zzz]\n",
       "FILE:1: zzz: is not a table of the settings; scheduler-cli config example lists every setting"},
      {"misspelt table without keys", "[wroker]\n[api]\n",
       "FILE:1: wroker: is not a table of the settings; did you mean [worker]?"},
      {"misspelt labels without any", "[worker.labelz]\n",
       "FILE:1: worker.labelz: is not a table of the settings; did you mean [worker.labels]?"},
      {"unknown table in a known one", "[api]\nenabled = true\n[api.zzz]\n",
       "FILE:3: api.zzz: is not a table of the settings"},
      {"unknown table in an unknown one", "[zzz.yyy]\n", "FILE:1: zzz.yyy: is not a table of the settings"},
      {"unknown empty inline table", "[api]\nzzz = {}\n", "FILE:2: api.zzz: is not a table of the settings"},
      {"unknown list of tables", "[[zzz]]\n", "FILE:1: zzz: is not a setting"},
      {"table for a value", "[worker.slots]\nx = 3\n",
       "FILE:1: worker.slots: must be a whole number from 1 to 4096, not a table whose 'x' is something other than "
       "text"},
      {"value for a table", "worker = 3\n", "FILE:1: worker: is not a setting"},
      {"number below range", "[worker]\nslots = 0\n",
       "FILE:2: worker.slots: 0 is out of range; use a whole number from 1 to 4096"},
      {"number far above range", "[worker]\nslots = 99999999999\n",
       "FILE:2: worker.slots: 99999999999 is out of range; use a whole number from 1 to 4096"},
      {"text for a number", "[worker]\nslots = \"4\"\n",
       "FILE:2: worker.slots: must be a whole number from 1 to 4096, not text"},
      {"fraction for a number", "[worker]\nslots = 1.5\n",
       "FILE:2: worker.slots: must be a whole number from 1 to 4096, not a number with a fraction"},
      {"number for a flag", "[api]\nenabled = 1\n", "FILE:2: api.enabled: must be true or false, not a number"},
      {"date for text", "[log]\nlevel = 2026-01-01\n", "FILE:2: log.level: must be text in quotes, not a date or time"},
      {"unknown word", "[log]\nlevel = \"wraning\"\n",
       "FILE:2: log.level: 'wraning' is not known; use debug, info, warning or error (did you mean 'warning'?)"},
      {"unknown strategy", "[dispatcher]\nstrategy = \"best\"\n",
       "FILE:2: dispatcher.strategy: 'best' is not known; use round_robin, least_loaded, task_type_affinity, random or "
       "composite"},
      {"control character", "data_dir = \"a\\tb\"\n",
       "FILE:1: data_dir: must not hold control characters; remove them"},
      {"text for a list", "[worker]\ntask_types = \"shell\"\n",
       "FILE:2: worker.task_types: must be a list of texts, like [\"shell\"], not text"},
      {"empty list", "[worker]\ntask_types = []\n",
       "FILE:2: worker.task_types: is empty; name at least one of http, noop, python or shell"},
      {"unknown task type", "[worker]\ntask_types = [\"shel\"]\n",
       "FILE:2: worker.task_types: 'shel' is not known; use http, noop, python or shell (did you mean 'shell'?)"},
      {"task type twice", "[worker]\ntask_types = [\"shell\", \"shell\"]\n",
       "FILE:2: worker.task_types: names 'shell' twice; name it once"},
      {"label that is no word", "[worker]\nlabels = {zone = \"a b\"}\n",
       "FILE:2: worker.labels: 'zone' = 'a b' is not a label; keys and values are up to 63 letters"},
      {"label that is no text", "[worker.labels]\nzone = 1\n",
       "FILE:1: worker.labels: must be a table of texts, like {zone = \"a\"}, not a table whose 'zone' is something"},
      {"not TOML", "[worker]\nslots = = 1\n", "FILE:2: is not TOML: "},
      {"the same key twice", "data_dir = \"a\"\ndata_dir = \"b\"\n", "FILE:2: is not TOML: "},
      {"timeout of two heartbeats", "[dispatcher]\nworker_timeout_seconds = 10\n",
       "FILE:2: dispatcher.worker_timeout_seconds: 10 must be more than two heartbeats "
       "(worker.heartbeat_interval_seconds is 5); use at least 11, or a shorter heartbeat"},
      {"PostgreSQL without slashes", "[database]\nurl = \"postgresql:me:secret@db/x\"\n",
       "FILE:2: database.url: must be sqlite:PATH, for example"},
      {"other database", "[database]\nurl = \"mysql://x\"\n", "FILE:2: database.url: must be sqlite:PATH, for example"},
      {"no path", "[database]\nurl = \"sqlite:\"\n", "FILE:2: database.url: must be sqlite:PATH, for example"},
      {"slashes that would move the file", "[database]\nurl = \"sqlite://x.db\"\n",
       "FILE:2: database.url: must be sqlite:PATH, for example"},
      {"RabbitMQ at the place of a Redis", "[message_queue]\ntype = \"rabbitmq\"\nurl = \"redis://:hunter2@x\"\n",
       "FILE:3: message_queue.url: must begin with amqp://; write it like amqp://USER:PASSWORD@127.0.0.1:5672/"},
      {"queue without a place", "[message_queue]\ntype = \"redis_stream\"\n",
       "default: message_queue.url: is empty; this type of queue needs to know where its server is; write it like"},
      {"queue at a wrong place", "[message_queue]\ntype = \"redis_stream\"\nurl = \"http://:hunter2@x\"\n",
       "FILE:3: message_queue.url: must begin with redis://; write it like redis://:PASSWORD@127.0.0.1:6379/0"},
      {"place without a queue", "[message_queue]\nurl = \"redis://:hunter2@x\"\n",
       "FILE:2: message_queue.url: is of no use to the embedded queue; set message_queue.type to rabbitmq or redis"},
      {"empty prefix", "[message_queue]\nprefix = \"\"\n", "FILE:2: message_queue.prefix: must be 1 to 64 letters"},
      {"prefix with a colon", "[message_queue]\nprefix = \"a:b\"\n", "FILE:2: message_queue.prefix: must be 1 to 64"},
      {"unknown queue", "[message_queue]\ntype = \"embeded\"\n",
       "FILE:2: message_queue.type: 'embeded' is not known; use embedded, rabbitmq or redis_stream (did you "
       "mean 'embedded'?)"},
      {"a name for an address", "[api]\nbind_address = \"scheduler.example:9000\"\n",
       "FILE:2: api.bind_address: 'scheduler.example:9000' is not host:port; write it like 127.0.0.1:8080"},
      {"empty password", "[auth]\nbootstrap_admin_password = \"\"\n",
       "FILE:2: auth.bootstrap_admin_password: is empty; give it a value, or leave it out"},
      {"no port", "[api]\nbind_address = \"127.0.0.1\"\n",
       "FILE:2: api.bind_address: '127.0.0.1' is not host:port; write it like 127.0.0.1:8080 or [::1]:8080"},
      {"empty data_dir", "data_dir = \"\"\n", "FILE:1: data_dir: is empty; name a directory, for example ./data"},
      {"worker name of the API's own", "[worker]\nworker_id = \"stats\"\n",
       "FILE:2: worker.worker_id: 'stats' names something else"},
      {"worker name", "[worker]\nworker_id = \"a b\"\n", "FILE:2: worker.worker_id: must be up to 128 letters, digits"},
  };
  for (const auto& row : rows) EXPECT_THAT(faults_of(row.toml), HasSubstr(row.message)) << row.name;
}

TEST(LoadConfig, EveryFaultOfTheEnvironment_NamesTheVariable) {
  const struct {
    std::string_view name;
    Words environment;
    std::string_view message;
  } rows[] = {
      {"unknown variable",
       {{"SCHEDULER_WORKER__SLOTSS", "3"}},
       "environment SCHEDULER_WORKER__SLOTSS: worker.slotss: is not a setting; did you mean 'worker.slots'?"},
      {"no number",
       {{"SCHEDULER_WORKER__SLOTS", "3x"}},
       "environment SCHEDULER_WORKER__SLOTS: worker.slots: '3x' must be a whole number from 1 to 4096"},
      {"empty number",
       {{"SCHEDULER_WORKER__SLOTS", ""}},
       "environment SCHEDULER_WORKER__SLOTS: worker.slots: '' must be a whole number from 1 to 4096"},
      {"no flag",
       {{"SCHEDULER_API__ENABLED", "yes"}},
       "environment SCHEDULER_API__ENABLED: api.enabled: 'yes' must be true or false"},
      {"no labels",
       {{"SCHEDULER_WORKER__LABELS", "zone"}},
       "environment SCHEDULER_WORKER__LABELS: worker.labels: 'zone' must be written as key=value"},
      {"file is missing",
       {{"SCHEDULER_DATABASE__URL_FILE", "/nonexistent/x"}},
       "environment SCHEDULER_DATABASE__URL_FILE: database.url: '/nonexistent/x' cannot be read: No such file"},
      {"value and file",
       {{"SCHEDULER_DATABASE__URL_FILE", "/x"}, {"SCHEDULER_DATABASE__URL", "sqlite:x"}},
       "environment SCHEDULER_DATABASE__URL_FILE: database.url: SCHEDULER_DATABASE__URL is set as well; keep one"},
      {"a slash in the password",
       {{"SCHEDULER_DATABASE__URL", "postgresql://me:pa/secret@db/x"}},
       "environment SCHEDULER_DATABASE__URL: database.url: has a '/', '?' or '#' in its user or password"},
      {"a question mark in the password",
       {{"SCHEDULER_DATABASE__URL", "postgresql://me:pa?secret@db/x"}},
       "environment SCHEDULER_DATABASE__URL: database.url: has a '/', '?' or '#' in its user or password"},
      {"cross check",
       {{"SCHEDULER_DATABASE__URL", "mysql://me:secret@db/x"}},
       "environment SCHEDULER_DATABASE__URL: database.url: must be sqlite:PATH"},
  };
  for (const auto& row : rows) {
    EXPECT_THAT(faults_of("", row.environment), HasSubstr(row.message)) << row.name;
    EXPECT_THAT(faults_of("", row.environment), testing::Not(HasSubstr("secret"))) << row.name;
  }
}

TEST(LoadConfig, FaultyFlag_NamesTheCommandLine) {
  EXPECT_EQ(faults_of("", {}, {{"log.levle", "debug"}}),
            "command line: log.levle: is not a setting; did you mean 'log.level'?");
  EXPECT_THAT(faults_of("", {}, {{"log.level", "loud"}}), HasSubstr("command line: log.level: 'loud' is not known"));
}

TEST(LoadConfig, SeveralFaults_AreReportedTogether) {
  EXPECT_EQ(faults_of("[worker]\nslots = 0\n[log]\nlevl = \"info\"\n", {{"SCHEDULER_API__ENABLED", "1"}}),
            "FILE:2: worker.slots: 0 is out of range; use a whole number from 1 to 4096\n"
            "FILE:4: log.levl: is not a setting; did you mean 'log.level'?\n"
            "environment SCHEDULER_API__ENABLED: api.enabled: '1' must be true or false");
}

// A quoted key broke the line that named it.
TEST(LoadConfig, KeyWithALineEnd_StaysOneLine) {
  EXPECT_THAT(faults_of("\"a\\nb\" = 1\n"), HasSubstr("FILE:1: a\\nb: is not a setting"));
}

TEST(LoadConfig, MissingFile_SaysWhichAndWhy) {
  const auto loaded = load_config("/nonexistent/scheduler.toml", {}, {});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(
      loaded.error().message,
      "/nonexistent/scheduler.toml: cannot be read: No such file or directory; name a file that exists, or none to "
      "use the defaults");
}

TEST(LoadConfig, EmptyFile_IsTheDefaults) { EXPECT_EQ(faults_of(""), "no fault"); }

TEST(LoadConfig, DirectoryInsteadOfFile_IsRefused) {
  const auto loaded = load_config("/tmp", {}, {});
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, HasSubstr("/tmp: cannot be read: "));
}

TEST(ShippedFiles, EachOne_Loads) {
  const auto shipped = load_config(source_file("config/scheduler.toml"), {}, {});
  ASSERT_TRUE(shipped) << shipped.error().message;
  EXPECT_EQ(to_toml(*shipped), to_toml(AppConfig{}));
  EXPECT_EQ(contents(source_file("config/scheduler.toml")), example_toml());

  const auto development = load_config(source_file("config/development.toml"), {}, {});
  ASSERT_TRUE(development) << development.error().message;
  EXPECT_EQ(development->log.level, "debug");

  const auto production = load_config(source_file("config/production.toml"), {}, {});
  ASSERT_TRUE(production) << production.error().message;
  EXPECT_EQ(production->log.format, "json");
}

// Where the servers are comes from files; what the shipped file says itself holds no password.
TEST(ShippedFiles, Production_IsAClusterThatOnlyLacksItsUrls) {
  const auto path = source_file("config/production.toml");
  const auto as_it_is = load_config(path, {}, {});
  ASSERT_TRUE(as_it_is) << as_it_is.error().message;
  for (const auto& url : {as_it_is->database.url, as_it_is->message_queue.url}) {
    const auto login = url.substr(url.find("://") + 3, url.find('@') - url.find("://") - 3);
    EXPECT_THAT(login, testing::Not(HasSubstr(":"))) << "a default password";
  }
  EXPECT_TRUE(is_postgres(store_url(*as_it_is)));

  const TempFile store("postgresql://u:secret@db/s\n"), queue("amqp://u:secret@mq/\n");
  const auto told = load_config(
      path, {{"SCHEDULER_DATABASE__URL_FILE", store.path()}, {"SCHEDULER_MESSAGE_QUEUE__URL_FILE", queue.path()}}, {});
  ASSERT_TRUE(told) << told.error().message;
  EXPECT_EQ(told->database.url, "postgresql://u:secret@db/s");
  EXPECT_EQ(told->message_queue.url, "amqp://u:secret@mq/");
  EXPECT_EQ(told->message_queue.type, "rabbitmq");
}

TEST(ToToml, AnySettings_ReadBackTheSame) {
  AppConfig config;
  config.data_dir = "/srv/\"quoted\" \\ back";
  config.worker.labels = {{"zone", "a/1"}, {"disk.kind", "ssd"}};
  config.worker.task_types = {"shell"};
  config.api.enabled = false;
  config.database.url = "sqlite:/x y.db";
  const TempFile file(to_toml(config));
  const auto loaded = load_config(file.path(), {}, {});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(to_toml(*loaded), to_toml(config));
  EXPECT_EQ(loaded->data_dir, config.data_dir);
  EXPECT_EQ(loaded->worker.labels, config.worker.labels);
}

TEST(ToToml, PasswordOfTheFirstAdmin_IsHidden) {
  AppConfig config;
  EXPECT_THAT(to_toml(config), testing::Not(HasSubstr("bootstrap_admin_password")));
  config.auth.bootstrap_admin_password = "a sentence that nobody knows";
  EXPECT_THAT(to_toml(config), HasSubstr("bootstrap_admin_password = \"***\"\n"));
}

TEST(ToToml, PasswordInUrl_IsHidden) {
  AppConfig config;
  config.database.url = "postgresql://me:secret@db:5432/x";
  config.message_queue.url = "redis://:p@ss@host/1";  // an '@' that should have been written %40
  EXPECT_THAT(to_toml(config), HasSubstr("\"postgresql://me:***@db:5432/x\""));
  EXPECT_THAT(to_toml(config), HasSubstr("\"redis://:***@host/1\""));
  EXPECT_EQ(without_password("postgresql://me@db/x?sslmode=require&password=hush&sslpassword=hush"),
            "postgresql://me@db/x?sslmode=require&password=***&sslpassword=***");
  EXPECT_EQ(without_password("postgresql://me:a@db/x?password=b&options=-csearch_path%3Dc"),
            "postgresql://me:***@db/x?password=***&options=-csearch_path%3Dc");
}

TEST(ParseBindAddress, EveryForm_IsReadOrRefused) {
  const struct {
    std::string_view text;
    std::optional<BindAddress> expected;
  } rows[] = {
      {"127.0.0.1:8080", BindAddress{"127.0.0.1", 8080}},
      {"127.9.8.7:0", BindAddress{"127.9.8.7", 0}},
      {"localhost:65535", BindAddress{"localhost", 65535}},
      {"[::1]:80", BindAddress{"::1", 80}},
      {"::1:80", std::nullopt},
      {"[::]:80", BindAddress{"::", 80}},
      {"0.0.0.0:80", BindAddress{"0.0.0.0", 80}},
      {"10.0.0.1:80", BindAddress{"10.0.0.1", 80}},
      {"127.0.0.1.evil.example:80", std::nullopt},
      {"127.0.0:80", std::nullopt},
      {"127.0.0.256:80", std::nullopt},
      {"127..0.1:80", std::nullopt},
      {"localhost:65536", std::nullopt},
      {"localhost:-1", std::nullopt},
      {"localhost:", std::nullopt},
      {":8080", std::nullopt},
      {"", std::nullopt},
      {"8080", std::nullopt},
  };
  for (const auto& row : rows) {
    const auto address = parse_bind_address(row.text);
    EXPECT_EQ(address ? std::optional(*address) : std::nullopt, row.expected) << row.text;
  }
}
